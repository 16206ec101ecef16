"""What a PAN is, and why something else is not one."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.pans import (
    has_issuer_prefix,
    luhn_failures,
    normalise,
    passes_luhn,
    scheme_of,
)

DIGITS = st.text("0123456789", min_size=12, max_size=19)


def one(cell: str, *, keep_empty: bool = False) -> tuple[str | None, str | None]:
    """The digits and the reason that a single cell gets."""
    normalised = normalise(pa.array([cell], pa.string()), keep_empty=keep_empty)
    assert normalised.digits.type == normalised.reasons.type == pa.string()
    return normalised.digits[0].as_py(), normalised.reasons[0].as_py()


@pytest.mark.parametrize(
    "cell",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        " 4111111111111111 ",
        "\t4111111111111111\n",
        "'4111111111111111",
        "`4111111111111111`",
        "4111\N{NO-BREAK SPACE}1111\N{NO-BREAK SPACE}1111\N{NO-BREAK SPACE}1111",
        "4111\N{NARROW NO-BREAK SPACE}1111\N{FIGURE SPACE}1111\N{THIN SPACE}1111",
        "4111\N{IDEOGRAPHIC SPACE}1111\N{MEDIUM MATHEMATICAL SPACE}11111111",
        "4111\N{EN DASH}1111\N{EM DASH}1111\N{MINUS SIGN}1111",
        "4111\N{HYPHEN}1111\N{NON-BREAKING HYPHEN}1111\N{FIGURE DASH}1111",
        "\N{RIGHT SINGLE QUOTATION MARK}4111111111111111\N{LEFT SINGLE QUOTATION MARK}",
        "\N{ACUTE ACCENT}4111111111111111\N{MODIFIER LETTER APOSTROPHE}",
        "\N{ZERO WIDTH SPACE}4111\N{ZERO WIDTH JOINER}1111\N{WORD JOINER}11111111",
        "\N{ZERO WIDTH NO-BREAK SPACE}4111111111111111",
        "4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1",
    ],
)
def test_separators_of_any_script_are_taken_away(cell: str) -> None:
    assert one(cell) == ("4111111111111111", None)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", "pan_empty"),
        ("   ", "pan_empty"),
        ("\N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}", "pan_empty"),
        ("--", "pan_empty"),
        ("4.11111E+15", "pan_scientific_notation"),
        ("4,11111E+15", "pan_scientific_notation"),
        ("4E15", "pan_scientific_notation"),
        ("4.e15", "pan_scientific_notation"),
        ("411111******1111", "pan_masked"),
        ("XXXX XXXX XXXX 1111", "pan_masked"),
        ("xxxxxxxxxxxx1111", "pan_masked"),
        ("************", "pan_masked"),
        ("4111 11.. .... #111", "pan_masked"),
        ("••••••••••••1111", "pan_masked"),
        ("1", "pan_too_short"),
        ("41111111111", "pan_too_short"),
        ("0000", "pan_too_short"),
        ("41111111111111111111", "pan_too_long"),
        ("4111111111111111,4111111111111111", "pan_not_digits"),
        ("41111111111111114111111111111111", "pan_too_long"),
        ("n/a", "pan_not_digits"),
        ("4111111111111111A", "pan_not_digits"),
        ("4111.1111.1111.1111", "pan_not_digits"),
        ("4111111111111111.0", "pan_not_digits"),
        ("+4111111111111111", "pan_not_digits"),
        ("4111/1111/1111/1111", "pan_not_digits"),
        ("4111_1111_1111_1111", "pan_not_digits"),
        ("4111\x00111111111111", "pan_not_digits"),
        ("\N{ARABIC-INDIC DIGIT FOUR}" * 16, "pan_not_digits"),
        ("\N{FULLWIDTH DIGIT FOUR}" * 16, "pan_not_digits"),
        ("\N{MATHEMATICAL BOLD DIGIT FOUR}" * 4, "pan_not_digits"),
        ("4\N{SUPERSCRIPT TWO}" * 8, "pan_not_digits"),
        ("tok_abcdefghijklmnopqrstuvwxyz", "pan_not_digits"),
        (";4111111111111111=25121010?", "pan_not_digits"),
        ("1.5", "pan_not_digits"),
        ("....", "pan_not_digits"),
    ],
)
def test_what_is_no_pan_says_why(cell: str, reason: str) -> None:
    assert one(cell) == (None, reason)


@pytest.mark.parametrize("length", range(1, 25))
def test_a_pan_has_12_to_19_digits(length: int) -> None:
    cell = "4" * length
    if length < 12:
        assert one(cell) == (None, "pan_too_short")
    elif length > 19:
        assert one(cell) == (None, "pan_too_long")
    else:
        assert one(cell) == (cell, None)


@pytest.mark.parametrize("cell", ["0" * 12, "0004111111111111111", "000000000001", "0" * 19])
def test_leading_zeros_are_digits_of_the_pan(cell: str) -> None:
    assert one(cell) == (cell, None)


@pytest.mark.parametrize("cell", ["", " ", "-", "\N{NO-BREAK SPACE}"])
def test_an_empty_cell_is_kept_when_the_layout_says_so(cell: str) -> None:
    assert one(cell, keep_empty=True) == (None, None)
    assert one("n/a", keep_empty=True) == (None, "pan_not_digits")


def test_one_bad_cell_does_not_touch_its_neighbours() -> None:
    cells = ["4111111111111111", "n/a", "", "4111 1111 1111", "5" * 19, "1"]
    normalised = normalise(pa.array(cells, pa.string()))
    assert normalised.digits.to_pylist() == [cells[0], None, None, "411111111111", cells[4], None]
    assert normalised.reasons.to_pylist() == [
        None,
        "pan_not_digits",
        "pan_empty",
        None,
        None,
        "pan_too_short",
    ]


def test_an_empty_column_stays_empty() -> None:
    normalised = normalise(pa.array([], pa.string()))
    assert len(normalised.digits) == len(normalised.reasons) == 0
    assert normalised.digits.type == normalised.reasons.type == pa.string()


def test_a_slice_of_a_column_is_read_as_a_column() -> None:
    column = pa.array(["x", "4111 1111 1111 1111", "", "x"], pa.string()).slice(1, 2)
    assert normalise(column).digits.to_pylist() == ["4111111111111111", None]
    assert normalise(column.slice(0, 1)).digits.to_pylist() == ["4111111111111111"]


@pytest.mark.parametrize(
    "cell", ["x" * 100_000 + "q", "1" * 200_000 + "x" * 9 + "!", "1e" * 90_000]
)
def test_the_time_to_say_why_grows_with_the_cell_and_not_faster(cell: str) -> None:
    assert one(cell) == (None, "pan_not_digits")


@settings(max_examples=200)
@given(st.lists(st.text(max_size=24) | DIGITS, max_size=8), st.booleans())
def test_any_cell_is_a_pan_or_has_a_reason(cells: list[str], keep_empty: bool) -> None:
    column = pa.array(cells, pa.string())
    normalised = normalise(column, keep_empty=keep_empty)
    for cell, digits, reason in zip(
        cells, normalised.digits.to_pylist(), normalised.reasons.to_pylist(), strict=True
    ):
        assert (digits, reason) == one(cell, keep_empty=keep_empty)
        assert digits is None or reason is None
        if digits is not None:
            assert digits.isascii()
            assert digits.isdigit()
            assert 12 <= len(digits) <= 19
            assert digits == "".join(c for c in cell if c in "0123456789")
        elif reason is None:
            assert keep_empty
        else:
            assert reason.startswith("pan_")


def luhn_by_the_book(digits: str) -> bool:
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if at % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


@settings(max_examples=300)
@given(st.text("0123456789", min_size=1, max_size=40))
def test_luhn_is_luhn_by_the_book(digits: str) -> None:
    assert passes_luhn(digits.encode()) == luhn_by_the_book(digits)


@settings(max_examples=200)
@given(DIGITS, st.data())
def test_changing_any_one_digit_breaks_luhn(digits: str, data: st.DataObject) -> None:
    (check,) = [c for c in "0123456789" if luhn_by_the_book(digits[:-1] + c)]
    pan = digits[:-1] + check
    assert passes_luhn(pan.encode())
    at = data.draw(st.integers(0, len(pan) - 1))
    other = data.draw(st.sampled_from([c for c in "0123456789" if c != pan[at]]))
    assert not passes_luhn((pan[:at] + other + pan[at + 1 :]).encode())


@settings(max_examples=200)
@given(st.lists(DIGITS, max_size=40))
def test_luhn_of_many_is_luhn_of_each(pans: list[str]) -> None:
    encoded = [pan.encode() for pan in pans]
    assert luhn_failures(pa.array([pan.decode() for pan in encoded], pa.string())).to_pylist() == [
        not passes_luhn(pan) for pan in encoded
    ]


def test_luhn_of_very_many_is_luhn_of_each() -> None:
    pans = [str(10**15 + at * 7_654_321).encode() for at in range(20_000)]
    assert luhn_failures(pa.array([pan.decode() for pan in pans], pa.string())).to_pylist() == [
        not passes_luhn(pan) for pan in pans
    ]
    assert (
        luhn_failures(pa.array(["9" * 19] * 1000)).to_pylist()
        == [not passes_luhn(b"9" * 19)] * 1000
    )


@pytest.mark.parametrize(
    ("low", "high", "scheme", "below", "above"),
    [
        ("4", "4", "visa", "diners", "maestro"),
        ("2200", "2204", "mir", "unknown", "unknown"),
        ("2221", "2720", "mastercard", "unknown", "unknown"),
        ("51", "55", "mastercard", "maestro", "maestro"),
        ("34", "34", "amex", "unknown", "unknown"),
        ("37", "37", "amex", "diners", "diners"),
        ("300", "305", "diners", "unknown", "unknown"),
        ("36", "36", "diners", "unknown", "amex"),
        ("38", "39", "diners", "amex", "visa"),
        ("3528", "3589", "jcb", "unknown", "unknown"),
        ("6011", "6011", "discover", "rupay", "rupay"),
        ("644", "649", "discover", "maestro", "discover"),
        ("65", "65", "discover", "discover", "maestro"),
        ("60", "6010", "rupay", "maestro", "discover"),
        ("62", "62", "unionpay", "maestro", "maestro"),
        ("81", "81", "unionpay", "unknown", "rupay"),
        ("82", "82", "rupay", "unionpay", "unknown"),
        ("508", "508", "rupay", "maestro", "maestro"),
        ("506099", "506198", "verve", "maestro", "maestro"),
        ("507865", "507964", "verve", "maestro", "maestro"),
        ("9792", "9792", "troy", "unknown", "unknown"),
        ("56", "5999", "maestro", "mastercard", "rupay"),
        ("66", "69", "maestro", "discover", "unknown"),
    ],
)
def test_a_scheme_begins_and_ends_where_it_says(
    low: str, high: str, scheme: str, below: str, above: str
) -> None:
    first, last = int(low.ljust(16, "0")), int(high.ljust(16, "9"))
    assert scheme_of(str(first).encode()) == scheme
    assert scheme_of(str(last).encode()) == scheme
    assert scheme_of(str(first - 1).encode()) == below
    assert scheme_of(str(last + 1).encode()) == above


@pytest.mark.parametrize(
    "head", ["0", "10", "2205", "2220", "2721", "306", "31", "7", "80", "83", "99"]
)
def test_other_prefixes_belong_to_nobody(head: str) -> None:
    pan = head.ljust(16, "5").encode()
    assert scheme_of(pan) == "unknown"
    assert not has_issuer_prefix(pan)


def test_an_airline_card_has_15_digits() -> None:
    assert scheme_of(b"1" * 15) == "uatp"
    assert scheme_of(b"1" * 14) == scheme_of(b"1" * 16) == "unknown"


@pytest.mark.parametrize("pan", [b"4" * 12, b"4" * 13, b"4" * 19, b"62" * 8])
def test_the_scheme_does_not_depend_on_the_length(pan: bytes) -> None:
    assert has_issuer_prefix(pan)


def test_published_test_numbers_are_pans_of_their_brand(shared_data: Path) -> None:
    with (shared_data / "public_test_pans.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    normalised = normalise(pa.array([row["number_as_published"] for row in rows], pa.string()))
    assert normalised.digits.to_pylist() == [row["digits"] for row in rows]
    for row in rows:
        pan = row["digits"].encode()
        assert len(pan) == int(row["length"])
        assert passes_luhn(pan) == (row["luhn_ok"] == "1")
        assert has_issuer_prefix(pan), row["brand"]
