"""Fixed-width files of ASCII lines: Amex GRRCN and NACHA (layouts `amex-grrcn-fixed`, `nacha-shr`).

Only what the layouts read is filled as in real files.
"""

from collections.abc import Iterator
from typing import BinaryIO

from pipeline.samples.merchants import all_terminals
from pipeline.samples.transactions import (
    TRADING_DAY,
    Progress,
    amounts_cents,
    reference_prefixes,
    transaction_blocks,
)

GRRCN_BYTES = 400
NACHA_BYTES = 94
_NACHA_BLOCK_RECORDS = 10
_CARDS_PER_BATCH = 25


def write_grrcn(
    stream: BinaryIO, rows: int, cards: int, seed: int, *, progress: Progress | None = None
) -> None:
    """Write a header, one submission, `rows` transactions, and a trailer."""
    terminals, amounts, hours = all_terminals(), amounts_cents(seed), reference_prefixes()
    stream.write(_line((1, "HEADER"), (11, f"{TRADING_DAY:%Y%m%d}"), (20, "GRRCN")))
    stream.write(_line((1, "SUBMISSION"), (11, "9999999991")))
    for block in transaction_blocks(rows, cards, seed):
        for number, pan, second, terminal, _, amount, _ in zip(*block, strict=True):
            shop = terminals[terminal]
            stream.write(
                _line(
                    (1, "TRANSACTN"),
                    (11, f"{shop.merchant_id:<15}"),
                    (39, f"{TRADING_DAY:%Y%m%d}"),
                    (47, shop.currency),
                    (50, f"{shop.merchant_id:<15}"),
                    (65, f"{TRADING_DAY:%Y%m%d}"),
                    (96, shop.currency),
                    (114, f"{hours[second // 3600]}{number % 1_000_000:06d}"),
                    (164, f"{pan:<19}"),
                    (213, f"{amounts[amount]:015d}"),
                )
            )
        if progress is not None:
            progress(block.numbers.stop)
    stream.write(_line((1, "TRAILER"), (11, f"{rows + 3:010d}")))


def _line(*pieces: tuple[int, str]) -> bytes:
    return (placed(GRRCN_BYTES, *pieces) + "\n").encode()


def placed(size: int, *pieces: tuple[int, str]) -> str:
    """A record of that size with each text at its position, counted from 1."""
    record = " " * size
    for start, text in pieces:
        record = record[: start - 1] + text + record[start - 1 + len(text) :]
    return record[:size]


def write_nacha(
    stream: BinaryIO,
    rows: int,
    cards: int,
    seed: int,
    *,
    line_ends: bool = True,
    progress: Progress | None = None,
) -> None:
    """Write shared-network (SHR) card entries in batches, filled up to blocks of ten records."""
    end = b"\n" if line_ends else b""
    count = 0
    for record in _nacha_records(rows, cards, seed, progress):
        stream.write(record.encode() + end)
        count += 1
    for _ in range(-count % _NACHA_BLOCK_RECORDS):
        stream.write(b"9" * NACHA_BYTES + end)


def _nacha_records(rows: int, cards: int, seed: int, progress: Progress | None) -> Iterator[str]:
    yield placed(
        NACHA_BYTES, (1, "101 076401251 0764012510"), (24, f"{TRADING_DAY:%y%m%d}1200A094101")
    )
    batches, in_batch = 0, 0
    amounts = amounts_cents(seed)
    for block in transaction_blocks(rows, cards, seed):
        for number, pan, _, _, _, amount, _ in zip(*block, strict=True):
            if not in_batch:
                batches += 1
                yield placed(
                    NACHA_BYTES, (1, "5200SAMPLE NETWORK"), (51, "SHR"), (88, f"{batches:07d}")
                )
            in_batch += 1
            yield placed(
                NACHA_BYTES,
                (1, "62707640125112345678901234567"),
                (30, f"{amounts[amount]:010d}1228"),
                (44, f"{number % 10**11:011d}{pan:0>22}"),
                (77, "010"),
                (80, f"07640125{number + 1:07d}"),
            )
            if in_batch == _CARDS_PER_BATCH or number + 1 == rows:
                yield placed(NACHA_BYTES, (1, f"8200{in_batch:06d}"), (88, f"{batches:07d}"))
                in_batch = 0
        if progress is not None:
            progress(block.numbers.stop)
    records = rows + 2 * batches + 2
    blocks = -(-records // _NACHA_BLOCK_RECORDS)
    yield placed(NACHA_BYTES, (1, f"9{batches:06d}{blocks:06d}{rows:08d}"))
