"""What makes a file as a whole unreadable, and what errors say about it."""

from __future__ import annotations

import pytest

from pipeline.errors import PermanentError
from pipeline.readers.column_names import MAX_COLUMNS
from tests.unit.reading import PAN, a_layout, headerless, read


def refusal(content: bytes, *, block_bytes: int = 1 << 16, **settings: object) -> PermanentError:
    layout = a_layout("pan", "note", **settings) if settings else a_layout("pan", "note")
    with pytest.raises(PermanentError) as caught:
        read(content, layout, block_bytes)
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_a_file_without_bytes_is_refused(content: bytes) -> None:
    assert refusal(content).code == "empty_file"


@pytest.mark.parametrize("block_bytes", [2, 3, 1 << 16])
@pytest.mark.parametrize("content", [b"\n", b"\r\n\r\n\r\n", b"\r\r\r", b"\xef\xbb\xbf\n\n\n\n\n"])
def test_a_file_of_blank_lines_has_no_rows(content: bytes, block_bytes: int) -> None:
    assert refusal(content, block_bytes=block_bytes).code == "no_rows"


@pytest.mark.parametrize("content", [b"pan,note", b"pan,note\n", b"pan,note\r\n\r\n\r\n"])
def test_a_file_of_column_names_only_has_no_rows(content: bytes) -> None:
    assert refusal(content).code == "no_rows"


@pytest.mark.parametrize("block_bytes", [9, 10, 11, 1 << 16])
@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"\r"])
def test_blank_lines_before_the_column_names_are_skipped(blank: bytes, block_bytes: int) -> None:
    content = blank * 20 + b"pan,note\n1,a\n"
    assert read(content, a_layout("pan", "note"), block_bytes).cells == [("1", "a")]


def test_a_file_whose_only_row_is_malformed_is_still_read() -> None:
    reading = read(b"pan,note\n1\n", a_layout("pan", "note"))
    assert reading.malformed == {1: "wrong_field_count"}


def test_a_named_column_that_is_missing_is_named() -> None:
    error = refusal(b"card_holder_jane,note\n1,a\n")
    assert (error.code, error.detail) == ("missing_column", "not in the header: pan")


def test_column_names_are_case_sensitive() -> None:
    assert refusal(b"PAN,note\n1,a\n").code == "missing_column"


def test_a_named_column_that_stands_twice_is_named() -> None:
    error = refusal(b"pan,note,pan\n1,a,2\n")
    assert (error.code, error.detail) == ("duplicate_column", "twice in the header: pan")


def test_the_columns_of_control_totals_and_customers_must_be_there() -> None:
    layout = a_layout("pan").model_copy(
        update={"options": a_layout("pan").options.model_copy(update={"customer_id": "who"})}
    )
    with pytest.raises(PermanentError, match="missing_column: not in the header: who"):
        read(b"pan\n1\n", layout)


@pytest.mark.parametrize(
    "name",
    [
        PAN,
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "4111_1111_1111_1111",
        "4111\N{NO-BREAK SPACE}1111\N{NO-BREAK SPACE}1111\N{NO-BREAK SPACE}1111",
        "4111  1111  1111  1111",
        "card 411111111111",
        "x" + PAN + "y",
        "\N{FULLWIDTH DIGIT FOUR}" * 16,
    ],
)
def test_a_header_that_holds_a_card_number_is_refused_without_showing_it(name: str) -> None:
    error = refusal(f"pan,{name},note\n1,2,3\n".encode())
    assert error.code == "header_looks_like_data"
    assert error.detail == "column 2 of the header holds a long number: set format.header = false"


@pytest.mark.parametrize("name", ["amount_2024", "v1.2.3", "2024-01-01", "12345678901"])
def test_a_header_with_a_few_digits_is_no_data(name: str) -> None:
    content = f"pan,note,{name}\n1,a,b\n".encode()
    assert read(content, a_layout("pan", "note")).cells == [("1", "a")]


def test_a_file_may_have_very_many_columns_but_not_one_more() -> None:
    header = ["pan", "note", *(f"c{at}" for at in range(MAX_COLUMNS - 2))]
    row = ["1", "a", *["-"] * (MAX_COLUMNS - 2)]
    content = f"{','.join(header)}\n{','.join(row)}\n".encode()
    assert read(content, a_layout("pan", "note"), 1 << 20).cells == [("1", "a")]
    assert refusal(b"more," + content, block_bytes=1 << 20).code == "too_many_columns"


@pytest.mark.parametrize("before", range(0, 30, 3))
def test_a_record_as_long_as_a_block_is_read_wherever_it_begins(before: int) -> None:
    layout = headerless("pan", "note")
    for line_end in (b"\n", b"\r\n", b"\r", b""):
        longest = b"x" * (30 - len(line_end))
        content = b"0,%s\n1,%s" % (b"y" * before, longest) + line_end
        assert read(content, layout, 32).cells[1] == ("1", longest.decode())


@pytest.mark.parametrize("before", range(0, 30, 3))
def test_a_record_twice_as_long_as_a_block_is_refused_wherever_it_begins(before: int) -> None:
    content = b"0,%s\n1,%s\n2,b\n" % (b"y" * before, b"x" * 63)
    with pytest.raises(PermanentError, match="record_too_long"):
        read(content, headerless("pan", "note"), 32)


def test_a_quoted_record_longer_than_a_block_is_refused() -> None:
    layout = headerless("pan", "note", embedded_newlines=True)
    with pytest.raises(PermanentError, match="record_too_long"):
        read(b'1,"' + b"\n" * 100 + b'"\n', layout, 32)


def test_a_header_field_longer_than_any_name_is_refused() -> None:
    error = refusal(b'pan,note,"' + b"x" * 200_000 + b'"\n1,a,b\n', block_bytes=1 << 20)
    assert error.code == "malformed_record"


def test_no_error_shows_what_the_file_holds() -> None:
    secret = b"jane4111x1111x1111x1111doe"
    hostile = [
        b"%s,note\n1,a\n",
        b"pan,%s,pan,note\n1,2,3,4\n",
        b'pan,note,"%s',
        b"\xff\xfe%s",
        b"%s" * 20_000,
    ]
    for template in hostile:
        content = template.replace(b"%s", secret)
        for error in (refusal(content), refusal(content, embedded_newlines=True)):
            assert "4111" not in str(error) + repr(error)
            assert "jane" not in str(error) + repr(error)
