"""An acquirer's pipe-delimited file: header, detail and trailer records (layout `acquirer-pipe`).

    H|<acquirer>|<business day>|<file number>
    D|<number>|<moment>|<merchant>|<terminal>|<PAN>|<P or R>|<amount>|<currency>|<reference>
    T|<number of details>|<sum of their amounts>

`P` is a purchase; `R` is a refund and has a negative amount. The control sum runs over
all currencies, as a hash total does. Nothing is quoted.
"""

from typing import BinaryIO, Literal

from pipeline.samples.merchants import all_terminals
from pipeline.samples.transactions import (
    TRADING_DAY,
    Block,
    Progress,
    amounts_cents,
    clock_time,
    decimal_text,
    reference_prefixes,
    transaction_blocks,
)

ACQUIRER_FIELDS = (
    "record_type",
    "sequence",
    "transaction_time",
    "merchant_id",
    "terminal_id",
    "card_number",
    "kind",
    "amount",
    "currency",
    "reference",
)

Trailer = Literal["right", "wrong_count", "wrong_sum"]
"""What the trailer says: the truth, one detail too many, or one cent too many."""

_EVERY_NTH_AMOUNT_IS_A_REFUND = 29


def write_acquirer_file(
    stream: BinaryIO,
    rows: int,
    cards: int,
    seed: int,
    *,
    trailer: Trailer = "right",
    progress: Progress | None = None,
) -> None:
    """Write a header, `rows` details and a trailer as UTF-8, a block at a time.

    The cards are those of a settlement file of the same seed.
    """
    details = _Details(seed)
    total_cents = 0
    stream.write(f"H|ACQ00017|{TRADING_DAY:%Y%m%d}|0001\n".encode())
    for block in transaction_blocks(rows, cards, seed):
        stream.write(details.of(block).encode())
        total_cents += details.sum_cents(block)
        if progress is not None:
            progress(block.numbers.stop)
    count = rows + (trailer == "wrong_count")
    total_cents += trailer == "wrong_sum"
    stream.write(f"T|{count}|{decimal_text(total_cents)}\n".encode())


class _Details:
    """The tables of a file as pieces of text that carry their pipes."""

    def __init__(self, seed: int) -> None:
        self.cents = [
            -cents if position % _EVERY_NTH_AMOUNT_IS_A_REFUND == 0 else cents
            for position, cents in enumerate(amounts_cents(seed))
        ]
        self.terminals = [f"{t.merchant_id}|{t.terminal_id}|" for t in all_terminals()]
        self.amounts = [f"|{'R' if c < 0 else 'P'}|{decimal_text(c)}|" for c in self.cents]
        self.currencies = [f"{t.currency}|" for t in all_terminals()]
        self.hours = reference_prefixes()

    def of(self, block: Block) -> str:
        """Return the lines of a block."""
        moments = {second: _moment(second) for second in set(block.seconds)}
        terminals, amounts = self.terminals, self.amounts
        currencies, hours = self.currencies, self.hours
        return "".join(
            [
                f"D|{number + 1}{moments[second]}{terminals[terminal]}{pan}{amounts[amount]}"
                f"{currencies[terminal]}{hours[second // 3600]}{number % 1_000_000:06d}\n"
                for number, pan, second, terminal, _, amount, _ in zip(*block, strict=True)
            ]
        )

    def sum_cents(self, block: Block) -> int:
        """Return the control sum of a block."""
        cents = self.cents
        return sum([cents[amount] for amount in block.amounts])


def _moment(second: int) -> str:
    return f"|{TRADING_DAY:%Y%m%d}{clock_time(second).replace(':', '')}|"
