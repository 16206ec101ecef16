"""Small files that no built-in layout describes: a bank's own export, and one without names."""

from typing import BinaryIO

from pipeline.samples.merchants import all_terminals
from pipeline.samples.settlement import delimited_cell
from pipeline.samples.transactions import (
    TRADING_DAY,
    amounts_cents,
    decimal_text,
    reference_prefixes,
    settlement_dates,
    transaction_blocks,
)

ACME_COLUMNS = (
    "Belegnummer",
    "Buchungstag",
    "Kundennummer",
    "Kartennummer",
    "Betrag",
    "Währung",
    "Händler",
    "Verwendungszweck",
)
_SHOPS = (
    "Bäckerei Grünwald",
    "Café Schön",
    "Müller & Söhne; Eisenwaren",
    'Buchhandlung "Zur Eule"',
    "Straßenbahn Süd",
    "Hôtel Beau-Rivage",
)
_PURPOSES = ("Wocheneinkauf", "", "Spesen, 2 von 3", "", "Trinkgeld inbegriffen", "", "")
_EVERY_NTH_ROW_NAMES_ITS_CARD = 50


def write_acme(stream: BinaryIO, rows: int, cards: int, seed: int) -> None:
    """Write a bank's export as a European office program saves it.

    Semicolons, quotes where needed, Windows-1252, line ends CR LF, days as 02.03.2026, card
    numbers in groups of four. A card has one customer. Now and then the free text repeats the
    card number of its row.
    """
    customers: dict[str, int] = {}
    days, amounts = settlement_dates(), amounts_cents(seed)
    lines = [";".join(ACME_COLUMNS)]
    for block in transaction_blocks(rows, cards, seed):
        for number, pan, second, _, _, amount, _ in zip(*block, strict=True):
            by_hand = number % _EVERY_NTH_ROW_NAMES_ITS_CARD == 10
            cells = (
                f"B{number + 1:06d}",
                f"{days[second // 3600]:%d.%m.%Y}",
                f"K{customers.setdefault(pan, 1001 + len(customers))}",
                " ".join(pan[at : at + 4] for at in range(0, len(pan), 4)),
                decimal_text(amounts[amount]),
                "EUR",
                _SHOPS[number % len(_SHOPS)],
                f"Karte {pan} von Hand" if by_hand else _PURPOSES[number % len(_PURPOSES)],
            )
            lines.append(";".join(delimited_cell(cell, ";") for cell in cells))
    stream.write("".join(line + "\r\n" for line in lines).encode("cp1252"))


def write_unnamed_columns(stream: BinaryIO, rows: int, cards: int, seed: int) -> None:
    """Write comma-separated rows without a header, for which only content tells the PAN.

    The fields: day, 12-digit reference, PAN, amount, merchant. The reference is there to be
    mistaken for a short card number.
    """
    terminals, amounts = all_terminals(), amounts_cents(seed)
    hours = reference_prefixes()
    for block in transaction_blocks(rows, cards, seed):
        for number, pan, second, terminal, _, amount, _ in zip(*block, strict=True):
            cells = (
                f"{TRADING_DAY}",
                f"{hours[second // 3600]}{number:06d}",
                pan,
                decimal_text(amounts[amount]),
                terminals[terminal].merchant_name,
            )
            stream.write((",".join(delimited_cell(cell, ",") for cell in cells) + "\n").encode())
