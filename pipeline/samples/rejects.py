"""A small file with every reason to reject a row, beside good rows that look alike.

It is read with the layout `every-reject`: comma, quotes, header, UTF-8, no line breaks inside
cells, Luhn required. Each bad row has exactly one fault, and its note says which.
"""

from collections import Counter
from typing import BinaryIO, NamedTuple

from pipeline.samples.cards import luhn_check_digit

REJECT_COLUMNS = (
    "row",
    "card_number",
    "amount",
    "installments",
    "settlement_date",
    "transaction_time",
    "merchant_name",
    "reference",
    "note",
)

VISA = "4111111111111111"
"""The published test number that all rows have whose fault or point is elsewhere."""

_REFERENCE_LIKE_A_PAN = "400000123456789" + luhn_check_digit("400000123456789")
_MAESTRO_12 = "50000000000" + luhn_check_digit("50000000000")


class RejectCase(NamedTuple):
    """One row: why it is rejected (None: it is good), its note, and the cells that differ.

    Cells are text as it stands in the file, quotes included; None leaves the cell out, and a
    lone surrogate U+DC80 to U+DCFF stands for the byte 80 to FF.
    """

    reason: str | None
    note: str
    cells: dict[str, str | None] = {}  # noqa: RUF012 (never changed)


def _pan(reason: str | None, note: str, raw_pan: str) -> RejectCase:
    return RejectCase(reason, note, {"card_number": raw_pan})


EVERY_REJECT_CASES = (
    _pan(None, "plain", VISA),
    _pan(None, "groups with spaces", "4111 1111 1111 1111"),
    _pan(None, "groups with dashes", "5555-5555-5555-4444"),
    _pan(None, "apostrophe before", "'378282246310005"),
    _pan(None, "apostrophe after", "6011111111111117'"),
    _pan(None, "spaces around", "  30569309025904 "),
    _pan(None, "12 digits", _MAESTRO_12),
    _pan(None, "13 digits", "4222222222222"),
    _pan(None, "19 digits", "6205500000000000004"),
    RejectCase(None, "quoted delimiter", {"merchant_name": '"Farrow, Hill & Co"'}),
    RejectCase(None, "doubled quotes", {"merchant_name": '"The ""Blue"" Anchor"'}),
    RejectCase(None, "refund", {"amount": "-12.50"}),
    RejectCase(
        None,
        "empty cells are no value",
        dict.fromkeys(REJECT_COLUMNS[2:8], ""),
    ),
    RejectCase(None, f"card {VISA} keyed by hand: a token replaces it"),
    RejectCase(
        None,
        "reference that only looks like a card number",
        {"reference": _REFERENCE_LIKE_A_PAN},
    ),
    _pan("pan_empty", "no card number", ""),
    _pan("pan_empty", "only spaces", "   "),
    _pan("pan_masked", "masked with stars", "411111******1111"),
    _pan("pan_masked", "masked with X", "XXXXXXXXXXXX1111"),
    _pan("pan_scientific_notation", "ruined by a spreadsheet", "5.54563E+15"),
    _pan("pan_too_short", "11 digits", "41111111111"),
    _pan("pan_too_long", "20 digits", "41111111111111111111"),
    _pan("pan_not_digits", "letters between the digits", "4111-ABCD-1111-1111"),
    _pan("pan_not_digits", "a word", "declined"),
    _pan("pan_luhn", "wrong check digit", "4111111111111112"),
    _pan("pan_luhn", "wrong check digit in groups", "5555-5555-5555-4445"),
    RejectCase("wrong_field_count", "one too many", {"merchant_name": "Farrow, Hill & Co"}),
    RejectCase("wrong_field_count", "one too few", {"reference": None}),
    RejectCase("unbalanced_quote", '"a quote is opened and never closed'),
    RejectCase("invalid_encoding", "caf\udce9: Latin-1 in a UTF-8 file"),
    RejectCase("invalid_decimal", "letter O for a zero", {"amount": "12.5O"}),
    RejectCase("invalid_integer", "a word for a number", {"installments": "three"}),
    RejectCase("invalid_date", "30 February", {"settlement_date": "2026-02-30"}),
    RejectCase("invalid_timestamp", "25 hours", {"transaction_time": "2026-03-02T25:15:00Z"}),
    RejectCase("guard_hit", "the card in a reference", {"reference": VISA}),
    RejectCase("guard_hit", "another row's card in a name", {"merchant_name": "5555555555554444"}),
)


def expected_rejects() -> dict[str, int]:
    """Return how many rows are rejected for each reason."""
    return dict(Counter(case.reason for case in EVERY_REJECT_CASES if case.reason is not None))


def write_every_reject(stream: BinaryIO) -> None:
    """Write the header and one line per case; row numbers start at 1."""
    lines = [",".join(REJECT_COLUMNS)]
    lines += [_line(row, case) for row, case in enumerate(EVERY_REJECT_CASES, start=1)]
    stream.write("".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape"))


def _line(row: int, case: RejectCase) -> str:
    cells: dict[str, str | None] = {
        "row": str(row),
        "card_number": VISA,
        "amount": "12.50",
        "installments": "1",
        "settlement_date": "2026-03-03",
        "transaction_time": "2026-03-02T10:15:00Z",
        "merchant_name": "Corner Shop",
        "reference": f"R{row:07d}",
        "note": case.note,
    }
    return ",".join(cell for cell in (cells | case.cells).values() if cell is not None)
