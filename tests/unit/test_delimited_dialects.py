"""Every dialect of delimited text is read as it was written."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from pipeline.errors import PermanentError
from tests.unit.reading import PAN, a_layout, headerless, read

DELIMITERS = [",", ";", "\t", "|", "~", "^", "\x01", "\x1f", " ", ":", "||", "¦", "<=>", "§§"]
LINE_ENDS = ["\n", "\r\n", "\r"]


def plain(delimiter: str) -> dict[str, Any]:
    """Settings for a delimiter; a long one cannot go with quotes."""
    is_long = len(delimiter) > 1 or not delimiter.isascii()
    return {"delimiter": delimiter, "quote": "" if is_long else '"'}


@pytest.mark.parametrize("line_end", LINE_ENDS)
@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_a_file_with_this_delimiter_and_line_end_is_read(delimiter: str, line_end: str) -> None:
    lines = [["pan", "note"], [PAN, "a"], [PAN, ""], ["", "ü€😀"]]
    text = line_end.join(delimiter.join(line) for line in lines) + line_end
    layout = a_layout("pan", "note", **plain(delimiter))
    reading = read(text.encode(), layout)
    assert reading.file_columns == ("pan", "note")
    assert reading.cells == [(PAN, "a"), (PAN, ""), ("", "ü€😀")]
    assert not reading.malformed


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_a_file_with_this_delimiter_needs_no_header(delimiter: str) -> None:
    text = delimiter.join([PAN, "a", "x"]) + "\n" + delimiter.join([PAN, "b", "y"]) + "\n"
    layout = a_layout(
        "pan", "note", header=False, fields=["pan", "note", "unused"], **plain(delimiter)
    )
    assert read(text.encode(), layout).cells == [(PAN, "a"), (PAN, "b")]


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_a_row_with_a_field_too_many_or_too_few_is_rejected_alone(delimiter: str) -> None:
    rows = [["1", "a"], ["2"], ["3", "c", "d"], ["4", "e"]]
    text = "\n".join(delimiter.join(row) for row in rows)
    reading = read(text.encode(), headerless("pan", "note", **plain(delimiter)))
    assert reading.rows == {1: ("1", "a"), 4: ("4", "e")}
    assert reading.malformed == {2: "wrong_field_count", 3: "wrong_field_count"}
    assert reading.raw[2] == b"2"
    assert reading.raw[3] == delimiter.join(rows[2]).encode()


@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_the_last_line_needs_no_line_end(line_end: str) -> None:
    text = line_end.join(["pan,note", "1,a", "2,b"])
    assert read(text.encode(), a_layout("pan", "note")).cells == [("1", "a"), ("2", "b")]


@pytest.mark.parametrize("delimiter", [",", "||"])
@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_blank_lines_are_no_rows_and_are_not_counted(delimiter: str, line_end: str) -> None:
    lines = ["", "", "pan,note", "", "1,a", "", "", "2", "3,c", "", ""]
    text = line_end.join(lines).replace(",", delimiter)
    reading = read(text.encode(), a_layout("pan", "note", **plain(delimiter)))
    assert reading.rows == {1: ("1", "a"), 3: ("3", "c")}
    assert reading.malformed == {2: "wrong_field_count"}
    assert reading.raw == {
        1: f"1{delimiter}a".encode(),
        2: b"2",
        3: f"3{delimiter}c".encode(),
    }


def test_a_line_of_blanks_is_a_row() -> None:
    reading = read(b"pan,note\n  \n1,a\n", a_layout("pan", "note"))
    assert reading.malformed == {1: "wrong_field_count"}
    assert reading.rows == {2: ("1", "a")}


def test_line_ends_of_all_kinds_may_be_mixed() -> None:
    text = b"pan,note\r1,a\n2,b\r\n3,c\r\r\n4,d\n\r5,e"
    assert [pan for pan, _ in read(text, a_layout("pan", "note")).cells] == list("12345")


def test_a_lone_carriage_return_inside_a_field_ends_the_record() -> None:
    reading = read(b"pan,note\n1,a\rb\n2,c\n", a_layout("pan", "note"))
    assert reading.rows == {1: ("1", "a"), 3: ("2", "c")}
    assert reading.malformed == {2: "wrong_field_count"}
    assert reading.raw[2] == b"b"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ('"a"', "a"),
        ('""', ""),
        ('"a,b"', "a,b"),
        ('"a""b"', 'a"b'),
        ('""""', '"'),
        ('"a""', None),
        ('"a', None),
        ('a"b', 'a"b'),
        ('a"', 'a"'),
        ('"a"b', "ab"),
        ('"a"b"c"', 'ab"c"'),
        (' "a"', ' "a"'),
        ("'a'", "'a'"),
    ],
)
def test_quotes_mean_what_csv_says(text: str, cell: str | None) -> None:
    content = f"pan,note\n1,{text}\n2,z\n".encode()
    reading = read(content, a_layout("pan", "note"))
    assert reading.rows[2] == ("2", "z")
    if cell is None:
        assert reading.malformed == {1: "unbalanced_quote"}
    else:
        assert reading.rows[1] == ("1", cell)
        assert next(csv.reader(io.StringIO(text))) == [cell]
    assert reading.raw[1] == f"1,{text}".encode()


def test_a_quote_that_never_closes_rejects_its_own_line_only() -> None:
    content = b'pan,note\n1,"a\n2,b"\n3,"c"\n4,"d\n"5,e\n6,f\n'
    reading = read(content, a_layout("pan", "note"))
    assert reading.malformed == dict.fromkeys((1, 4, 5), "unbalanced_quote")
    assert reading.rows == {2: ("2", 'b"'), 3: ("3", "c"), 6: ("6", "f")}


def test_a_quoted_line_end_is_a_fault_when_the_layout_allows_none() -> None:
    reading = read(b'pan,note\n1,"a\nb"\n2,c\n', a_layout("pan", "note"))
    assert reading.malformed == {1: "unbalanced_quote", 2: "wrong_field_count"}
    assert reading.rows == {3: ("2", "c")}


def test_without_quoting_a_quote_is_a_character() -> None:
    reading = read(b'pan,note\n1,"a\n"2","b"\n', a_layout("pan", "note", quote=""))
    assert reading.cells == [("1", '"a'), ('"2"', '"b"')]


def test_another_quote_character_can_be_chosen() -> None:
    reading = read(b"pan,note\n1,'a,''b'\n\"2\",'c\n", a_layout("pan", "note", quote="'"))
    assert reading.rows == {1: ("1", "a,'b")}
    assert reading.malformed == {2: "unbalanced_quote"}


@pytest.mark.parametrize("quote", ['"', ""])
def test_an_escaped_delimiter_belongs_to_the_field(quote: str) -> None:
    content = b"pan,note\n1,a\\,b\n2,c\\\\\n3,\\d\n"
    reading = read(content, a_layout("pan", "note", quote=quote, escape="\\"))
    assert reading.cells == [("1", "a,b"), ("2", "c\\"), ("3", "d")]
    assert reading.raw[1] == b"1,a\\,b"


def test_an_escaped_quote_does_not_close_the_field() -> None:
    content = b'pan,note\n1,"a\\",b"\n2,"c\\\\"\n3,\\"d\n'
    reading = read(content, a_layout("pan", "note", escape="\\"))
    assert reading.cells == [("1", 'a",b'), ("2", "c\\"), ("3", '"d')]


@pytest.mark.parametrize("block_bytes", [9, 12, 1 << 16])
@pytest.mark.parametrize("line_end", LINE_ENDS)
@pytest.mark.parametrize("quote", ['"', ""])
def test_an_escape_before_the_line_end_rejects_its_own_line_only(
    quote: str, line_end: str, block_bytes: int
) -> None:
    text = line_end.join(["1,a", "2,b\\", "3,c", "4,d\\"])
    layout = headerless("pan", "note", quote=quote, escape="\\")
    reading = read(text.encode(), layout, block_bytes)
    assert reading.rows == {1: ("1", "a"), 3: ("3", "c")}
    assert reading.malformed == {2: "dangling_escape", 4: "dangling_escape"}
    assert reading.raw[2] == b"2,b\\"


@pytest.mark.parametrize("line_end", LINE_ENDS)
@pytest.mark.parametrize("block_bytes", [14, 17, 20, 1 << 16])
def test_a_quoted_line_end_belongs_to_the_field_when_the_layout_says_so(
    block_bytes: int, line_end: str
) -> None:
    records = ['pan,"no\nte"', '1,"a\nb"', '2,"\r\n"', '3,"c""\n"', '4,"d\r"', "5,e"]
    text = line_end.join(records)
    layout = a_layout("pan", embedded_newlines=True, roles={"no\nte": "keep"})
    reading = read(text.encode(), layout, block_bytes)
    assert reading.cells == [
        ("1", "a\nb"),
        ("2", "\r\n"),
        ("3", 'c"\n'),
        ("4", "d\r"),
        ("5", "e"),
    ]
    assert list(reading.raw.values()) == [record.encode() for record in records[1:]]


def test_with_embedded_line_ends_a_quote_that_never_closes_ends_the_file() -> None:
    layout = headerless("pan", "note", embedded_newlines=True)
    with pytest.raises(PermanentError) as caught:
        read(b'1,a\n2,"b\n3,c\n', layout)
    assert caught.value.code == "unbalanced_quote"


def test_an_escaped_line_end_belongs_to_the_field_when_the_layout_says_so() -> None:
    layout = headerless("pan", "note", embedded_newlines=True, escape="\\")
    assert read(b'1,a\\\nb\n2,"c\\"\n"\n', layout).cells == [("1", "a\nb"), ("2", 'c"\n')]


def test_a_null_byte_is_a_character() -> None:
    reading = read(b"pan,note\n1\0,a\0b\n\0\n2,\0\n", a_layout("pan", "note"))
    assert reading.rows == {1: ("1\0", "a\0b"), 3: ("2", "\0")}
    assert reading.malformed == {2: "wrong_field_count"}


def test_a_file_of_one_column_is_read() -> None:
    reading = read(b'pan\n1\n""\n\n2,3\n"4"\n', a_layout("pan"))
    assert reading.rows == {1: ("1",), 2: ("",), 4: ("4",)}
    assert reading.malformed == {3: "wrong_field_count"}


def test_spaces_around_a_value_are_kept_and_around_a_column_name_are_not() -> None:
    reading = read(b" pan , note\n 1 , a \n", a_layout("pan", "note"))
    assert reading.cells == [(" 1 ", " a ")]


def test_columns_may_stand_in_any_order_and_others_between_them() -> None:
    reading = read(b"x,note,y,pan,z\n-,a,-,1,-\n", a_layout("pan", "note"))
    assert reading.file_columns == ("x", "note", "y", "pan", "z")
    assert reading.cells == [("a", "1")]


def test_columns_that_the_layout_does_not_name_may_repeat_or_have_no_name() -> None:
    reading = read(b"x,,pan,x,,x\n-,-,1,-,-,-\n", a_layout("pan"))
    assert reading.file_columns == ("x", "column_2", "pan", "x", "column_5", "x")
    assert reading.cells == [("1",)]


@pytest.mark.parametrize("delimiter", [",", "||"])
def test_a_repeated_column_never_takes_the_place_of_a_named_one(delimiter: str) -> None:
    header = ["pan#3", "a", "a", "pan", "pan#5", "0", "1"]
    row = ["x1", "x2", "x3", PAN, "x5", "x6", "x7"]
    text = delimiter.join(header) + "\n" + delimiter.join(row)
    layout = a_layout("pan", "pan#3", "pan#5", "1", **plain(delimiter))
    assert read(text.encode(), layout).cells == [("x1", PAN, "x5", "x7")]
