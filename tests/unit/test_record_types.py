"""Files of several record types: header, detail and trailer lines."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError
from tests.unit.reading import Reading, a_layout, headerless, line_types, read

ALL = line_types(header="H|", detail="D|", trailer="T|")
NO_TRAILER = line_types(header="H|", detail="D|")
LINE_ENDS = ["\n", "\r\n", "\r"]


def typed(records: dict[str, Any] | None = None, **settings: Any) -> Layout:
    given = {"delimiter": "|", "quote": "", "records": records or ALL} | settings
    return headerless("kind", "pan", **given)


def read_lines(
    *lines: str, layout: Layout | None = None, line_end: str = "\n", block_bytes: int = 1 << 16
) -> Reading:
    return read(line_end.join(lines).encode(), layout or typed(), block_bytes)


@pytest.mark.parametrize("block_bytes", [12, 17, 1 << 16])
@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_only_detail_lines_become_rows(line_end: str, block_bytes: int) -> None:
    reading = read_lines(
        "H|2024", "D|1", "D|2", "", "H|x|y|z", "D|3", "T|3", "", line_end=line_end,
        block_bytes=block_bytes,
    )  # fmt: skip
    assert reading.cells == [("D", "1"), ("D", "2"), ("D", "3")]
    assert not reading.malformed


@pytest.mark.parametrize("block_bytes", [12, 17, 1 << 16])
@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_a_line_of_no_known_type_is_rejected_alone(line_end: str, block_bytes: int) -> None:
    reading = read_lines(
        "H|", "X|9", "D|1", "", "d|2", " D|3", "D", "D|4", "Z", layout=typed(NO_TRAILER),
        line_end=line_end, block_bytes=block_bytes,
    )  # fmt: skip
    assert reading.rows == {2: ("D", "1"), 6: ("D", "4")}
    assert reading.malformed == dict.fromkeys((1, 3, 4, 5, 7), "unknown_record_type")
    assert list(reading.raw.values()) == [b"X|9", b"D|1", b"d|2", b" D|3", b"D", b"D|4", b"Z"]


def test_line_ends_of_all_kinds_may_be_mixed() -> None:
    content = b"H|1\rD|1\r\nX|1\rX|2\nD|2\r\rD|3\rT|1\r\n"
    reading = read(content, typed())
    assert [pan for _, pan in reading.cells] == ["1", "2", "3"]
    assert reading.malformed == {2: "unknown_record_type", 3: "unknown_record_type"}


def test_without_a_detail_prefix_every_other_line_is_a_detail() -> None:
    layout = typed(line_types(header="H|", trailer="T|"))
    reading = read_lines("H|1", "D|1", "E|2", "x", "T|3", "", layout=layout)
    assert reading.cells == [("D", "1"), ("E", "2")]
    assert reading.malformed == {3: "wrong_field_count"}


def test_prefixes_are_plain_text_however_they_look() -> None:
    layout = typed(line_types(header="^.*$", detail="(|"))
    assert read_lines("^.*$", "(|1", "x|2", layout=layout).cells == [("(", "1")]


@pytest.mark.parametrize("block_bytes", [12, 14, 1 << 16])
def test_column_names_follow_the_header_records(block_bytes: int) -> None:
    layout = a_layout("pan", "note", records=line_types(header="H|"))
    lines = ["", "H|2024", "", "", "H|x,y", "", "pan,note", "H|z", "", "1,a"]
    reading = read_lines(*lines, layout=layout, block_bytes=block_bytes)
    assert reading.cells == [("1", "a")]


def test_a_quoted_detail_is_read_beside_other_types() -> None:
    layout = typed(quote='"')
    reading = read_lines('H|"', 'D|"1"', 'D|"2', 'D|"3|"', 'T|"', layout=layout)
    assert reading.rows == {1: ("D", "1"), 3: ("D", "3|")}
    assert reading.malformed == {2: "unbalanced_quote"}


def test_a_file_of_headers_and_trailers_has_no_rows() -> None:
    with pytest.raises(PermanentError, match="no_rows"):
        read_lines("H|1", "T|0")


def test_a_record_of_another_type_is_not_kept_when_a_sensitive_column_might_be_in_it() -> None:
    layout = a_layout(
        "pan",
        roles={"cvv": "drop"},
        header=False,
        fields=["kind", "pan", "cvv"],
        delimiter="|",
        quote="",
        records=NO_TRAILER,
    )
    reading = read_lines("D|1|123", "X|456|2", "D|3", layout=layout)
    assert reading.malformed == {2: "unknown_record_type", 3: "wrong_field_count"}
    assert reading.raw == {1: b"D|1|", 2: b"", 3: b""}
