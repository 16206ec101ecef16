"""The layout that finds the PAN columns of a file by their content."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError
from pipeline.readers.auto import SAMPLE_BYTES, auto_layout
from pipeline.samples.cards import luhn_check_digit, synthetic_pans
from tests.unit.reading import Reading, read

PANS = synthetic_pans(30, seed=7)
DELIMITERS = [",", ";", "\t", "|", "~", "^"]


def table(*columns: list[str], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(zip(*columns, strict=True))
    return text.getvalue().encode()


def names(count: int) -> list[str]:
    return [f"name {at}" for at in range(count)]


def read_auto(content: bytes) -> tuple[Layout, Reading]:
    layout = auto_layout(content[:SAMPLE_BYTES])
    return layout, read(content, layout, 1 << 20)


def refusal(content: bytes) -> str:
    with pytest.raises(PermanentError) as caught:
        auto_layout(content)
    return caught.value.code


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("at", [0, 1, 3])
@pytest.mark.parametrize("has_header", [True, False])
def test_the_pan_column_is_found_wherever_it_stands(
    delimiter: str, at: int, has_header: bool
) -> None:
    columns = [names(30), [str(at) for at in range(30)], ["12,50"] * 30]
    columns.insert(at, PANS)
    if has_header:
        heads = ["who", "id", "amount"]
        heads.insert(at, "card")
        columns = [[head, *column] for head, column in zip(heads, columns, strict=True)]
    layout, reading = read_auto(table(*columns, delimiter=delimiter))
    assert layout.pan_columns == ("card" if has_header else f"column_{at + 1}",)
    assert reading.cells == [(pan,) for pan in PANS]
    assert not reading.malformed


def test_nothing_but_the_pan_column_is_named() -> None:
    layout, _ = read_auto(table(["who", *names(30)], ["card", *PANS]))
    assert list(layout.columns) == ["card"]


def test_several_pan_columns_are_found() -> None:
    layout, reading = read_auto(table(["a", *PANS], ["who", *names(30)], ["b", *reversed(PANS)]))
    assert layout.pan_columns == ("a", "b")
    assert reading.cells == list(zip(PANS, reversed(PANS), strict=True))


@pytest.mark.parametrize("has_header", [True, False])
def test_a_file_of_one_column_is_read(has_header: bool) -> None:
    lines = ["card number", *PANS] if has_header else PANS
    _, reading = read_auto("\r\n".join(lines).encode())
    assert reading.cells == [(pan,) for pan in PANS]


def test_a_file_of_one_card_number_is_read() -> None:
    layout, reading = read_auto(b"4111111111111111")
    assert layout.pan_columns == ("column_1",)
    assert reading.cells == [("4111111111111111",)]


@pytest.mark.parametrize("separator", [" ", "-"])
def test_card_numbers_may_be_written_in_groups(separator: str) -> None:
    grouped = [separator.join([pan[:4], pan[4:8], pan[8:12], pan[12:]]) for pan in PANS]
    layout, _ = read_auto(table(["card", *grouped], ["who", *names(30)]))
    assert layout.pan_columns == ("card",)


def test_a_column_may_have_gaps() -> None:
    sparse = [pan if at % 3 == 0 else "" for at, pan in enumerate(PANS)]
    layout, reading = read_auto(table(["card", *sparse], ["who", *names(30)]))
    assert layout.pan_columns == ("card",)
    assert layout.columns["card"].empty == "keep"
    assert len(reading.rows) == 30


def test_a_column_may_hold_some_that_fail() -> None:
    worn = [pan if at % 4 else "n/a" for at, pan in enumerate(PANS)]
    layout, _ = read_auto(table(["card", *worn]))
    assert layout.pan_columns == ("card",)


@pytest.mark.parametrize(
    "first",
    [
        "4111111111111112",
        "4111 1111 1111 1112",
        "411111",
        "4.11111E+15",
        "411111******1111",
        "XXXXXXXXXXXX1111",
        "************1111",
        "",
        "41111111111111111111111",
    ],
)
def test_an_unreadable_first_card_number_is_no_header(first: str) -> None:
    layout, reading = read_auto(table(["Jane Doe", *names(30)], [first, *PANS]))
    assert layout.pan_columns == ("column_2",)
    assert not layout.format.header
    assert len(reading.rows) == 31
    assert reading.file_columns == ("column_1", "column_2")


@pytest.mark.parametrize(
    "head", ["PAN", "card_no", "card1", "Kartennummer", "номер карты", "カード番号", "Card #", "x"]
)
def test_a_name_above_card_numbers_is_a_header(head: str) -> None:
    layout, reading = read_auto(table([head, *PANS]))
    assert layout.pan_columns == (head,)
    assert len(reading.rows) == 30


def decoy(length: int, prefix: str, *, valid: bool = False) -> list[str]:
    numbers = []
    for at in range(30):
        body = prefix + str(at * 7919).zfill(length - len(prefix) - 1)
        right = luhn_check_digit(body)
        wrong = str((int(right) + 1 + at % 9) % 10)
        numbers.append(body + str(right if valid or at % 10 == 0 else wrong))
    return numbers


@pytest.mark.parametrize(
    "column",
    [
        decoy(12, "6"),
        decoy(13, "4"),
        decoy(16, "5"),
        decoy(16, "4"),
        decoy(19, "6"),
        decoy(16, "7", valid=True),
        decoy(15, "9", valid=True),
        [f"+49 170 {at:07}" for at in range(30)],
        [f"17{at:011}" for at in range(30)],
        [f"2024010112{at:04}" for at in range(30)],
        [f"{at}.50" for at in range(30)],
        ["4111-11XX-XXXX-1111"] * 30,
        ["4.11111E+15"] * 30,
    ],
    ids=lambda column: column[1],
)
def test_a_column_of_other_numbers_is_no_pan_column(column: list[str]) -> None:
    assert refusal(table(["reference", *column], ["who", *names(30)])) == "no_pan_column"
    layout, _ = read_auto(table(["reference", *column], ["card", *PANS]))
    assert layout.pan_columns == ("card",)


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", b"hello", b"card\n", b"card,who\n,\n,\n", b"\xff" * 100]
)
def test_a_file_without_card_numbers_is_refused(content: bytes) -> None:
    assert refusal(content) == "no_pan_column"


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\r\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(content: bytes) -> None:
    assert refusal(content) == "no_rows"


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04\x14\x00\x00\x00",
        "card\n4111111111111111\n".encode("utf-16"),
        b"\x1f\x8b\x08\x00\x00",
        b'card\n"' + b"x" * 200_000 + b'"\n',
    ],
)
def test_what_is_no_delimited_text_is_refused(content: bytes) -> None:
    assert refusal(content) == "not_delimited_text"


@pytest.mark.parametrize("name", ["cvv", "CVV2", "Track 2", "pin_block"])
def test_a_column_named_for_sensitive_data_is_never_tokenized(name: str) -> None:
    assert refusal(table([name, *PANS])) == "no_pan_column"
    layout, _ = read_auto(table([name, *PANS], ["card", *PANS]))
    assert layout.pan_columns == ("card",)


def test_two_pan_columns_of_one_name_are_refused() -> None:
    content = table(["card", *PANS], ["card", *PANS])
    with pytest.raises(PermanentError, match="duplicate_column"):
        read_auto(content)


def test_the_sample_may_end_within_a_line() -> None:
    content = table(["card", *PANS * 1000], ["who", *names(30_000)])
    _, reading = read_auto(content)
    assert len(content) > SAMPLE_BYTES
    assert len(reading.rows) == 30_000


def test_quoted_line_ends_in_the_sample_are_expected_in_the_rest() -> None:
    notes = ["note", "a\nb", *names(29)]
    layout, reading = read_auto(table(["card", *PANS], notes))
    assert layout.format.embedded_newlines
    assert len(reading.rows) == 30


def test_a_title_line_above_the_header_is_no_header() -> None:
    content = b"Settlement 2026\n" + table(["who", *names(30)], ["card", *PANS])
    assert refusal(content) == "no_pan_column"


@settings(max_examples=150)
@given(
    content=st.binary(max_size=200)
    | st.text("4123456789,;|\n\r\"'- \taZ", max_size=200).map(str.encode)
    | st.lists(
        st.sampled_from(["4111111111111111", ",", ";", "|", "\n", '"', "cvv", "a", "\r\n", "\0"]),
        max_size=40,
    ).map(lambda parts: "".join(parts).encode())
)
def test_any_bytes_have_a_layout_or_are_refused(content: bytes) -> None:
    try:
        layout = auto_layout(content)
        assert layout.pan_columns
        read(content, layout)
    except PermanentError as error:
        assert "4111111111111111" not in str(error)


def test_a_public_file_of_synthetic_people_is_understood(shared_data: Path) -> None:
    content = (shared_data / "kylo_userdata1.csv").read_bytes()
    layout, reading = read_auto(content)
    assert layout.pan_columns == ("cc",)
    assert len(reading.rows) == 1000
