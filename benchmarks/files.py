"""Settlement files to measure with: short rows, as most are, of any number of cards."""

from __future__ import annotations

import random
from pathlib import Path

from pipeline.samples.cards import synthetic_pans

LAYOUT_NAME = "settlement"
LAYOUT = b"""name = "settlement"

[columns.transaction_id]
role = "keep"

[columns.card_number]
role = "pan"

[columns.amount]
role = "keep"
type = "decimal(12,2)"

[columns.currency]
role = "keep"

[columns.booked_on]
role = "keep"
type = "date"

[columns.merchant_id]
role = "keep"
"""
_HEADER = b"transaction_id,card_number,amount,currency,booked_on,merchant_id\n"
_ROWS_AT_ONCE = 50_000


def settlement_file(folder: Path, rows: int, cards: int) -> Path:
    """Rows of 62 bytes or so, of so many different cards; the same for the same numbers."""
    file = folder / f"{rows}-{cards}.csv"
    if not file.exists():
        with file.open("wb") as stream:
            stream.write(_HEADER)
            pans, rng = synthetic_pans(cards, seed=1), random.Random(1)
            for start in range(0, rows, _ROWS_AT_ONCE):
                ordinals = range(start, min(start + _ROWS_AT_ONCE, rows))
                stream.write("".join(_row(at, pans, rng) for at in ordinals).encode())
    return file


def _row(at: int, pans: list[str], rng: random.Random) -> str:
    pan = pans[at] if at < len(pans) else pans[rng.randrange(len(pans))]
    amount, merchant = rng.randrange(1, 9_999_999) / 100, rng.randrange(10**7)
    return f"TX{at:010d},{pan},{amount:.2f},EUR,2026-03-{1 + at % 28:02d},M{merchant:08d}\n"
