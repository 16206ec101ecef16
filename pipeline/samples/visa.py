"""Visa BASE II clearing files: CTF and ITF (layouts `visa-ctf` and `visa-itf`).

Only the positions that the layouts read are filled as they are in real files: those of the
transaction component records 0 and 1, a file header (TC 90) and a file trailer (TC 92).
"""

from collections.abc import Callable
from typing import BinaryIO

from pipeline.samples.merchants import all_terminals
from pipeline.samples.transactions import (
    TRADING_DAY,
    Progress,
    amounts_cents,
    approvals,
    reference_prefixes,
    transaction_blocks,
)

CTF_BYTES = 168
_ACCOUNT_DIGITS = 16
_EXTENSION_DIGITS = 3
_SALE, _CREDIT = "05", "06"
_EVERY_NTH_IS_A_CREDIT = 29
_EVERY_NTH_HAS_A_MESSAGE = 20
_NUMERIC_CURRENCIES = {
    "USD": "840", "EUR": "978", "GBP": "826", "CAD": "124",
    "CHF": "756", "SEK": "752", "PLN": "985", "MXN": "484",
}  # fmt: skip


def write_ctf(
    stream: BinaryIO, rows: int, cards: int, seed: int, *, progress: Progress | None = None
) -> None:
    """Write `rows` drafts as lines of ASCII, each with its TCR 0 and TCR 1.

    A card of more than 16 digits has the rest in the extension; a shorter one is filled up with
    zeros. Now and then the TCR 1 repeats a card number in its text.
    """
    _write(stream, rows, cards, seed, lambda record: record.encode("ascii") + b"\n", progress)


def write_itf(
    stream: BinaryIO, rows: int, cards: int, seed: int, *, progress: Progress | None = None
) -> None:
    """Write the same drafts in EBCDIC, with two more bytes behind the transaction code."""
    _write(stream, rows, cards, seed, itf_record, progress)


def itf_record(record: str) -> bytes:
    """A CTF record as it stands in an ITF."""
    return (record[:2] + "00" + record[2:]).encode("cp037")


def _write(
    stream: BinaryIO,
    rows: int,
    cards: int,
    seed: int,
    framed: Callable[[str], bytes],
    progress: Progress | None,
) -> None:
    drafts = Drafts(seed)
    stream.write(framed(_filled(f"9000400001{TRADING_DAY:%y%j}")))
    for block in transaction_blocks(rows, cards, seed):
        for number, pan, second, terminal, approval, amount, _ in zip(*block, strict=True):
            for record in drafts.of(number, pan, second, terminal, approval, amount):
                stream.write(framed(record))
        if progress is not None:
            progress(block.numbers.stop)
    stream.write(framed(_filled(f"9200400001{TRADING_DAY:%y%j}")))


class Drafts:
    """The tables of a file."""

    def __init__(self, seed: int) -> None:
        self._terminals = all_terminals()
        self._amounts = amounts_cents(seed)
        self._approvals = approvals(seed)
        self._hours = reference_prefixes()

    def of(
        self, number: int, pan: str, second: int, terminal: int, approval: int, amount: int
    ) -> tuple[str, str]:
        """The component records of a draft."""
        shop = self._terminals[terminal]
        code = _CREDIT if number % _EVERY_NTH_IS_A_CREDIT == 0 else _SALE
        currency = _NUMERIC_CURRENCIES[shop.currency]
        money = f"{self._amounts[amount]:012d}{currency}"
        name = shop.merchant_name.encode("ascii", "replace").decode()[:25]
        reference = f"{self._hours[second // 3600]}{number % 1_000_000:06d}"
        first = _placed(
            (1, f"{code}00{account(pan)}"),
            (27, f"7400000{TRADING_DAY:%y%j}"[:12] + f"{number % 10**11:011d}"),
            (58, f"{TRADING_DAY:%m%d}"),
            (62, money),
            (77, money),
            (92, f"{name:<25}{'SAMPLE CITY':<13}US "),
            (133, shop.mcc),
            (152, self._approvals[approval][1]),
        )
        has_message = number % _EVERY_NTH_HAS_A_MESSAGE == 7
        message = f"CARD {pan} BY HAND" if has_message else f"REF {reference}"
        return first, _placed((1, f"{code}01"), (24, message), (81, shop.terminal_id[:8]))


def account(pan: str) -> str:
    """Account number and extension."""
    number = pan[:_ACCOUNT_DIGITS].zfill(_ACCOUNT_DIGITS)
    return number + pan[_ACCOUNT_DIGITS:].ljust(_EXTENSION_DIGITS, "0" if len(pan) <= 16 else " ")


def _placed(*pieces: tuple[int, str]) -> str:
    record = " " * CTF_BYTES
    for start, text in pieces:
        record = record[: start - 1] + text + record[start - 1 + len(text) :]
    return record[:CTF_BYTES]


def _filled(text: str) -> str:
    return text.ljust(CTF_BYTES)
