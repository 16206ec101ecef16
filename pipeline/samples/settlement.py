"""Card-present settlement rows as delimited text with a header line (layout `card-present`)."""

import string
from typing import BinaryIO

from pipeline.samples.merchants import all_terminals
from pipeline.samples.transactions import (
    NOTES,
    TRADING_DAY,
    Block,
    Progress,
    amounts_cents,
    approvals,
    clock_time,
    decimal_text,
    reference_prefixes,
    settlement_dates,
    transaction_blocks,
)

SETTLEMENT_COLUMNS = (
    "transaction_id",
    "transaction_time",
    "merchant_id",
    "merchant_name",
    "mcc",
    "terminal_id",
    "card_number",
    "entry_mode",
    "auth_code",
    "amount",
    "currency",
    "settlement_date",
    "reference",
    "note",
)
_NEVER_IN_A_DELIMITER = frozenset(string.ascii_letters + string.digits + '-:."\r\n')


def write_settlement_csv(
    stream: BinaryIO,
    rows: int,
    cards: int,
    seed: int,
    *,
    delimiter: str = ",",
    progress: Progress | None = None,
) -> None:
    """Write a header and `rows` transactions of `cards` cards as UTF-8, a block at a time.

    Memory holds the card numbers and one block, whatever the number of rows. A cell that
    holds the delimiter or a quote is quoted (RFC 4180, section 2, rules 6 and 7).

    Raises ValueError for a delimiter that numbers and times are made of.
    """
    if not delimiter or not _NEVER_IN_A_DELIMITER.isdisjoint(delimiter):
        raise ValueError("a delimiter is not empty and has no letter, digit, quote or any of -:.")
    stream.write((delimiter.join(SETTLEMENT_COLUMNS) + "\n").encode())
    lines = SettlementLines(seed, delimiter)
    for block in transaction_blocks(rows, cards, seed):
        stream.write(lines.of(block).encode())
        if progress is not None:
            progress(block.numbers.stop)


def delimited_cell(value: str, delimiter: str) -> str:
    """Quote a cell that holds the delimiter or a quote."""
    if delimiter not in value and '"' not in value:
        return value
    return '"' + value.replace('"', '""') + '"'


class SettlementLines:
    """The tables of a file as pieces of text that carry their delimiters."""

    def __init__(self, seed: int, delimiter: str) -> None:
        def joined(*cells: str) -> str:
            return delimiter.join(delimited_cell(cell, delimiter) for cell in cells)

        terminals = all_terminals()
        self.delimiter = delimiter
        self.terminals = [joined(*terminal[:4], "") for terminal in terminals]
        self.approvals = [joined("", *approval, "") for approval in approvals(seed)]
        self.amounts = [decimal_text(cents) for cents in amounts_cents(seed)]
        self.currencies = [joined("", terminal.currency, "") for terminal in terminals]
        self.hours = [
            joined(day.isoformat(), prefix)
            for day, prefix in zip(settlement_dates(), reference_prefixes(), strict=True)
        ]
        self.notes = [joined("", note) + "\n" for note in NOTES]

    def of(self, block: Block) -> str:
        """Return the lines of a block."""
        moments = {second: self._moment(second) for second in set(block.seconds)}
        terminals, approved = self.terminals, self.approvals
        amounts, currencies, hours, notes = self.amounts, self.currencies, self.hours, self.notes
        return "".join(
            [
                f"TX{number:010d}{moments[second]}{terminals[terminal]}{pan}{approved[approval]}"
                f"{amounts[amount]}{currencies[terminal]}{hours[second // 3600]}"
                f"{number % 1_000_000:06d}{notes[note]}"
                for number, pan, second, terminal, approval, amount, note in zip(
                    *block, strict=True
                )
            ]
        )

    def _moment(self, second: int) -> str:
        return f"{self.delimiter}{TRADING_DAY}T{clock_time(second)}Z{self.delimiter}"
