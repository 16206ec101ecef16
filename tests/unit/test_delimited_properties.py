"""Whatever the bytes: every record is accounted for once, and blocks are not to be seen."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError
from tests.unit.reading import Reading, a_layout, headerless, line_types, read

# All of Unicode but halves of characters and the noncharacter that stands for undecodable bytes.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\U0010ffff"))
CELLS = st.one_of(
    TEXT.filter(lambda cell: len(cell) < 40),
    st.text('a"\n\r,;\\ \ufeff', max_size=6),
    st.from_regex(r"[0-9 -]{0,20}", fullmatch=True),
)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=12)
)
BLOCKS = st.integers(1, 300)
# Bytes that mean something to some dialect, and others.
HOSTILE = st.binary(max_size=80) | st.lists(
    st.sampled_from(
        [bytes([byte]) for byte in b"1a,;|\"'\\ \t\x00\x1f\n\r\xff\xc3\xe2\x82\xef\xbb\xbf"]
        + ["¦".encode(), b"||", b"\r\n", b'""', b"\xef\xbb\xbf", b"H|", b"D|", b"T|", b"T|1|1\n"]
    ),
    max_size=60,
).map(b"".join)

TOTALS = {"count_field": 2, "sum_field": 3, "sum_column": "c"}
MARKS = {"header": "H|", "detail": "D|", "trailer": "T|"}
LAYOUTS: dict[str, Layout] = {
    "commas": a_layout("1"),
    "no header": headerless("a", "b"),
    "one column": headerless("a"),
    "embedded": headerless("a", "b", embedded_newlines=True),
    "embedded with a header": a_layout("1", embedded_newlines=True),
    "escapes": headerless("a", "b", escape="\\"),
    "escapes, no quotes": headerless("a", "b", escape="\\", quote=""),
    "embedded and escaped": headerless("a", "b", escape="\\", embedded_newlines=True),
    "another quote": headerless("a", "b", quote="'", delimiter=";"),
    "no quotes": headerless("a", "b", quote="", delimiter="\t"),
    "long delimiter": headerless("a", "b", quote="", delimiter="||"),
    "delimiter of two bytes": headerless("a", "b", quote="", delimiter="¦"),
    "long delimiter, header": a_layout("1", quote="", delimiter="||"),
    "latin-1": headerless("a", "b", encoding="latin-1"),
    "cp1252": headerless("a", "b", encoding="cp1252"),
    "utf-16": headerless("a", "b", encoding="utf-16"),
    "utf-8-sig": headerless("a", "b", encoding="utf-8-sig"),
    "utf-7": headerless("a", "b", encoding="utf-7"),
    "shift_jis": headerless("a", "b", encoding="shift_jis", embedded_newlines=True),
    "undefined": headerless("a", "b", encoding="undefined"),
    "record types": headerless(
        "a", "b", "c", delimiter="|", records=line_types(**MARKS, totals=TOTALS)
    ),
    "record types, no detail mark": headerless(
        "a",
        "b",
        "c",
        delimiter="|",
        quote="",
        records=line_types(header="H|", trailer="T|", totals=TOTALS),
    ),
    "record types and names": a_layout("1", delimiter="|", records=line_types(header="H|")),
    "several types": a_layout(
        "x",
        roles={"y": "keep", "z": "text"},
        header=False,
        records={
            "field": 1,
            "types": {
                "one": {"match": ["a", "D"], "fields": ["t", "x"]},
                "two": {"match": "1", "fields": ["t", "y", "x"]},
                "rest": {"fields": ["z"]},
            },
        },
    ),
    "comments": headerless("a", "b", comments=["#", "H|", '"']),
    "footers": headerless("a", "b", footer_lines=2),
    "preamble": a_layout("1", preamble_lines=1),
    "preamble up to a line": a_layout("1", preamble_until="1"),
    "ragged": headerless("a", "b", short_rows="pad", long_rows="cut"),
    "ragged, trimmed": headerless("a", "b", "c", long_rows="cut_empty", trim=True),
    "sensitive": a_layout("a", header=False, fields=["a", "cvv", "b"], escape="\\"),
}


def written(table: list[list[str]], **dialect: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, **dialect).writerows(table)
    return text.getvalue().encode()


@settings(max_examples=150)
@given(table=TABLES, block=BLOCKS, line_end=st.sampled_from(["\n", "\r\n"]), data=st.data())
def test_a_table_that_was_written_is_read_back_for_any_block_size(
    table: list[list[str]], block: int, line_end: str, data: st.DataObject
) -> None:
    quoting = data.draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    delimiter = data.draw(st.sampled_from(",;\t|\x01"))
    content = written(table, lineterminator=line_end, quoting=quoting, delimiter=delimiter)
    names = [f"c{at}" for at in range(len(table[0]))]
    layout = headerless(*names, delimiter=delimiter, embedded_newlines=True)
    longest = max(len(written([row], quoting=quoting, lineterminator=line_end)) for row in table)
    reading = read(content, layout, longest + block)
    assert reading.cells == [tuple(row) for row in table]
    assert list(reading.raw.values()) == [
        written([row], quoting=quoting, delimiter=delimiter, lineterminator="") for row in table
    ]


@settings(max_examples=150)
@given(table=TABLES, block=BLOCKS)
def test_pythons_own_reader_reads_the_same(table: list[list[str]], block: int) -> None:
    content = b"\xef\xbb\xbf" + written(table, lineterminator="\r\n")
    rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if row]
    layout = headerless(*(f"c{at}" for at in range(len(table[0]))), embedded_newlines=True)
    longest = max(len(written([row])) for row in table)
    assert read(content, layout, longest + block).cells == [tuple(row) for row in rows]


@settings(max_examples=100)
@given(
    table=st.lists(
        st.tuples(*[st.text(st.characters(exclude_categories=["Cc", "Cs"])) for _ in range(3)]),
        min_size=1,
        max_size=8,
    ),
    delimiter=st.sampled_from(["||", "¦", "<=>", "\x1e\x1f", "€"]),
    block=BLOCKS,
)
def test_a_table_with_a_long_delimiter_is_read_back(
    table: list[tuple[str, str, str]], delimiter: str, block: int
) -> None:
    forbidden = {*delimiter, "\U0010ffff"}
    table = [tuple("".join(c for c in cell if c not in forbidden) for cell in row) for row in table]  # type: ignore[misc]
    lines = [delimiter.join(row).encode() for row in table]
    layout = headerless("a", "b", "c", delimiter=delimiter, quote="")
    reading = read(b"\n".join(lines), layout, max(map(len, lines)) + block)
    assert reading.cells == table
    assert list(reading.raw.values()) == lines


@pytest.mark.parametrize("name", LAYOUTS)
@settings(max_examples=120)
@given(content=HOSTILE, block=BLOCKS)
def test_any_bytes_are_accounted_for_or_refused_and_blocks_make_no_difference(
    name: str, content: bytes, block: int
) -> None:
    whole = reading_or_none(content, LAYOUTS[name], 1 << 16)
    parts = reading_or_none(content, LAYOUTS[name], block)
    if whole is None:
        assert parts is None
    elif parts is not None:
        assert parts == whole


def reading_or_none(content: bytes, layout: Layout, block_bytes: int) -> Reading | None:
    try:
        return read(content, layout, block_bytes)
    except PermanentError as error:
        assert error.__suppress_context__ or error.__context__ is None
        return None


@pytest.mark.parametrize("escape", ["", "\\"])
@pytest.mark.parametrize("quote", ['"', ""])
@settings(max_examples=200)
@given(content=HOSTILE, block=BLOCKS)
def test_a_reader_made_of_single_steps_reads_the_same(
    quote: str, escape: str, content: bytes, block: int
) -> None:
    layout = headerless("a", "b", quote=quote, escape=escape)
    reading = reading_or_none(content, layout, len(content) + block)
    if reading is None:
        assert not [line for line in lines_of(content) if line] or content[:2] in UTF16_MARKS
        return
    lines = [line for line in lines_of(content) if line]
    expected = [fields_of(line, quote, escape) for line in lines]
    assert list(reading.raw.values()) == lines
    for number, fields in enumerate(expected, start=1):
        if fields is None:
            assert reading.malformed[number] in ("unbalanced_quote", "dangling_escape")
        elif len(fields) != 2:
            assert reading.malformed[number] == "wrong_field_count"
        elif not all(map(is_text, fields)):
            assert reading.malformed[number] == "invalid_encoding"
        else:
            assert reading.rows[number] == tuple(field.decode() for field in fields)


UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def is_text(field: bytes) -> bool:
    try:
        return "\U0010ffff" not in field.decode()
    except UnicodeDecodeError:
        return False


def lines_of(content: bytes) -> list[bytes]:
    return re.split(rb"\r\n|\n|\r", content.removeprefix(b"\xef\xbb\xbf"))


def fields_of(line: bytes, quote: str, escape: str) -> list[bytes] | None:
    """One byte after the other; None when a quote does not close or an escape has no object."""
    fields, field = [], b""
    is_quoted, at_start, at = False, True, 0
    while at < len(line):
        byte, following = line[at : at + 1], line[at + 1 : at + 2]
        at += 1
        if escape and byte == escape.encode():
            if not following:
                return None
            field, at, at_start = field + following, at + 1, False
        elif quote and byte == quote.encode() and is_quoted and following == byte:
            field, at = field + byte, at + 1
        elif quote and byte == quote.encode() and (is_quoted or at_start):
            is_quoted, at_start = not is_quoted, False
        elif byte == b"," and not is_quoted:
            fields.append(field)
            field, at_start = b"", True
        else:
            field, at_start = field + byte, False
    return None if is_quoted else [*fields, field]
