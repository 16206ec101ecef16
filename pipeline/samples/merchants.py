"""Made-up shops and their terminals. Their names hold what names hold: commas, accents, quotes."""

from functools import cache
from typing import NamedTuple


class Terminal(NamedTuple):
    """One card terminal and the merchant that it stands at."""

    merchant_id: str
    merchant_name: str
    mcc: str
    terminal_id: str
    currency: str


TERMINALS_PER_MERCHANT = 3

_OWNERS = (
    "Adler", "Bellamy", "Castañeda", "Dubois & Fils", "Eriksen", "Farrow, Hill & Co", "Grünwald",
    "Hartley", "Ibarra", "Jansen", "Kowalczyk", "Lindqvist", "Moreau", "Northgate", "O'Brien's",
    "Pereira", "Quayside", "Rossi, Figli", "Søndergaard", "Tanaka", "Underhill", "Vasquez",
    'The "Blue" Anchor', "Wexford", "Ünal", "Zhang",
)  # fmt: skip
_TRADES = (
    ("Veterinary", "0742"), ("Grocery", "5411"), ("Bakery", "5462"), ("Fuel", "5541"),
    ("Clothing", "5651"), ("Electronics", "5732"), ("Restaurant", "5812"), ("Café", "5814"),
    ("Pharmacy", "5912"), ("Books", "5942"), ("Hotel", "7011"), ("Cinema", "7832"),
)  # fmt: skip
_CURRENCIES = ("USD", "EUR", "GBP", "CAD", "CHF", "SEK", "PLN", "MXN")


@cache
def all_terminals() -> tuple[Terminal, ...]:
    """Return every terminal: each owner runs one shop of each trade, with three terminals."""
    shops = [(f"{owner} {trade}", mcc) for trade, mcc in _TRADES for owner in _OWNERS]
    return tuple(
        Terminal(
            merchant_id=f"M{number:06d}",
            merchant_name=name,
            mcc=mcc,
            terminal_id=f"T{number:05d}{lane:02d}",
            currency=_CURRENCIES[number % len(_CURRENCIES)],
        )
        for number, (name, mcc) in enumerate(shops, start=1)
        for lane in range(1, TERMINALS_PER_MERCHANT + 1)
    )
