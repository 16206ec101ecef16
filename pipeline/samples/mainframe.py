"""A card ledger as a mainframe keeps it: EBCDIC records of 120 bytes that nothing separates.

Layout `mainframe-ebcdic`: code page 1047, a header, details with packed and zoned numbers and two
cards (the second one where a transfer has it), a trailer with the number of details.
"""

from typing import BinaryIO

from pipeline.samples.cards import synthetic_pans
from pipeline.samples.merchants import all_terminals
from pipeline.samples.transactions import (
    TRADING_DAY,
    Progress,
    amounts_cents,
    transaction_blocks,
)

RECORD_BYTES = 120
# Python has no code page 1047: it is 037 with these bytes changed about.
_TO_1047 = bytes.maketrans(b"\xad\xba\xbd\xbb\x5f\xb0", b"\xba\xad\xbb\xbd\xb0\x5f")

_PLUS, _MINUS = "C", "D"
_EVERY_NTH_IS_A_REFUND = 29
_EVERY_NTH_IS_A_TRANSFER = 10


def write_mainframe_file(
    stream: BinaryIO, rows: int, cards: int, seed: int, *, progress: Progress | None = None
) -> None:
    """Write a header, `rows` details and a trailer."""
    terminals, amounts = all_terminals(), amounts_cents(seed)
    others = synthetic_pans(cards, seed)
    stream.write(_text(f"HDR{TRADING_DAY:%Y%m%d}CARD LEDGER").ljust(RECORD_BYTES, b"\x40"))
    for block in transaction_blocks(rows, cards, seed):
        for number, pan, _, terminal, _, amount, _ in zip(*block, strict=True):
            is_refund = number % _EVERY_NTH_IS_A_REFUND == 0
            is_transfer = number % _EVERY_NTH_IS_A_TRANSFER == 0
            cents = -amounts[amount] if is_refund else amounts[amount]
            to_pan = others[(number * 7) % len(others)] if is_transfer else ""
            shop = terminals[terminal]
            record = (
                _text(f"{'TRF' if is_transfer else 'DTL'}{number + 1:09d}{pan:<19}{to_pan:<19}")
                + packed(cents, 7)
                + zoned(-cents, 11)
                + packed(int(f"{TRADING_DAY:%Y%j}"), 4)
                + _text(f"{shop.merchant_id}{shop.mcc}{shop.merchant_name[:30]:<30}")
            )
            stream.write(record.ljust(RECORD_BYTES, b"\x40"))
        if progress is not None:
            progress(block.numbers.stop)
    stream.write(_text(f"TRL{rows:09d}").ljust(RECORD_BYTES, b"\x40"))


def packed(number: int, size_bytes: int) -> bytes:
    """A packed decimal (COMP-3): two digits in a byte, the sign in the last half."""
    sign = _MINUS if number < 0 else _PLUS
    return bytes.fromhex(f"{abs(number):0{2 * size_bytes - 1}d}{sign}")


def zoned(number: int, digits: int) -> bytes:
    """A zoned decimal in EBCDIC: a digit in each byte, the sign in the first half of the last."""
    text = bytearray(_text(f"{abs(number):0{digits}d}"))
    text[-1] = text[-1] & 0x0F | (0xD0 if number < 0 else 0xC0)
    return bytes(text)


def _text(text: str) -> bytes:
    return text.encode("cp037", "replace").translate(_TO_1047)
