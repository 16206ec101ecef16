"""One day of card-present transactions, in blocks of rows, before any file format.

Everything that repeats is drawn from a small table, and a format turns each table into pieces
of text once. Writing a row is then one join of ready pieces.

No column but the card number can be taken for one: identifiers are short or hold letters, and
the 12-digit reference begins with 6061, where the only 12-digit cards begin with 5000.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import NamedTuple

from pipeline.samples.cards import MAX_CARDS, synthetic_pans
from pipeline.samples.merchants import all_terminals
from pipeline.samples.randomness import draw_indexes, draw_skewed_indexes, seeded_random

Progress = Callable[[int], None]
"""Told the number of rows written so far, after each block."""

TRADING_DAY = date(2026, 3, 2)
SECONDS_PER_DAY = 86_400
BLOCK_ROWS = 16_384
"""Rows in memory at a time: about 2.5 MB of text."""

AMOUNTS = 4_096
APPROVALS = 1_024
_ENTRY_MODES = ("contactless", "chip", "chip", "contactless", "contactless", "swipe", "manual")
_CODE_CHARACTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"

NOTES = (
    "signature on file", "tip included", "table 12", "split bill, 2 of 3", "price match",
    'customer asked for "gift wrap"', "pump 4", "late check-out", "receipt by e-mail",
    "loyalty points used", "café terrasse", "returned item 00317",
) + ("",) * 52  # fmt: skip
"""What clerks type; most of them type nothing."""


class Block(NamedTuple):
    """Consecutive transactions as columns; all but the first two hold a number per row.

    `seconds` count from midnight of the trading day; `terminals` index `all_terminals()`,
    `approvals` `approvals(seed)`, `amounts` `amounts_cents(seed)`, `notes` `NOTES`.
    """

    numbers: range
    pans: list[str]
    seconds: list[int]
    terminals: list[int]
    approvals: list[int]
    amounts: list[int]
    notes: list[int]


def check_sizes(rows: int, cards: int) -> None:
    """Raise ValueError for a negative number, too many cards, or rows that no card pays."""
    if rows < 0 or not 0 <= cards <= MAX_CARDS:
        raise ValueError(f"rows must not be negative, and cards must be 0 to {MAX_CARDS}")
    if rows > 0 and cards == 0:
        raise ValueError("rows need at least one card")


def transaction_blocks(rows: int, cards: int, seed: int) -> Iterator[Block]:
    """Yield `rows` transactions of `cards` cards in order of time.

    Some cards pay far more often than others. Every card pays at least once if there are at
    least as many rows as cards.

    Raises ValueError like `check_sizes`.
    """
    check_sizes(rows, cards)
    pans = synthetic_pans(cards, seed)
    random = seeded_random(seed, "transactions")
    for first_row in range(0, rows, BLOCK_ROWS):
        numbers = range(first_row, min(first_row + BLOCK_ROWS, rows))
        count = len(numbers)
        card_indexes = draw_skewed_indexes(random, cards, count)
        for row, card in _first_payments(numbers, rows, cards):
            card_indexes[row - first_row] = card
        yield Block(
            numbers=numbers,
            pans=[pans[index] for index in card_indexes],
            seconds=[row * SECONDS_PER_DAY // rows for row in numbers],
            terminals=draw_skewed_indexes(random, len(all_terminals()), count),
            approvals=draw_indexes(random, APPROVALS, count),
            amounts=draw_indexes(random, AMOUNTS, count),
            notes=draw_indexes(random, len(NOTES), count),
        )


def _first_payments(numbers: range, rows: int, cards: int) -> Iterator[tuple[int, int]]:
    """Yield (row, card) for the rows of the block that are kept for a card's first payment.

    Card k has row floor(k * rows / cards), which no other card has when rows >= cards.
    """
    if rows < cards:
        return
    card = -(-numbers.start * cards // rows)
    while card < cards and (row := card * rows // cards) < numbers.stop:
        yield row, card
        card += 1


def clock_time(second: int) -> str:
    """Write a second of the day as `HH:MM:SS`."""
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def settlement_dates() -> list[date]:
    """Return for each hour of the trading day when it is settled: after 20:00 a day later."""
    return [TRADING_DAY + timedelta(days=1 if hour < 20 else 2) for hour in range(24)]


def reference_prefixes() -> list[str]:
    """Return for each hour how its retrieval reference numbers begin.

    Last digit of the year, day of the year, hour: the customary form of ISO 8583 data element
    37, to which a number of six digits is added.
    """
    midnight = datetime.combine(TRADING_DAY, datetime.min.time())
    return [(midnight + timedelta(hours=hour)).strftime("%Y%j%H")[3:] for hour in range(24)]


def amounts_cents(seed: int) -> list[int]:
    """Return the table of amounts: 0.50 to about 400.00, mostly small."""
    indexes = draw_skewed_indexes(seeded_random(seed, "amounts"), 40_000, AMOUNTS)
    return [50 + cents for cents in indexes]


def approvals(seed: int) -> list[tuple[str, str]]:
    """Return the table of (entry mode, authorization code)."""
    random = seeded_random(seed, "approvals")
    modes = draw_indexes(random, len(_ENTRY_MODES), APPROVALS)
    return [
        (
            _ENTRY_MODES[mode],
            "".join(_CODE_CHARACTERS[at] for at in draw_indexes(random, len(_CODE_CHARACTERS), 6)),
        )
        for mode in modes
    ]


def decimal_text(cents: int) -> str:
    """Write a number of cents with a decimal point: -1250 is `-12.50`."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"
