"""What stands around the records: preambles, comments, footers; and records of uneven width."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError
from pipeline.model import START
from pipeline.readers.delimited import read_delimited
from tests.unit.reading import a_layout, headerless, line_types, read

ROWS = [("1", "a"), ("2", "b"), ("3", "c")]
TABLE = "pan,note\n1,a\n2,b\n3,c\n"
BLOCKS = [9, 13, 4096]


def cells(content: str, layout: Layout, block_bytes: int = 4096) -> list[tuple[str, ...]]:
    return read(content.encode(), layout, block_bytes).cells


@pytest.mark.parametrize("block_bytes", BLOCKS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_before_the_header_are_skipped_by_their_number(
    line_end: str, block_bytes: int
) -> None:
    content = ('Report "A\n\nx,y,z\n' + TABLE).replace("\n", line_end)
    layout = a_layout("pan", "note", preamble_lines=3)
    assert cells(content, layout, block_bytes) == ROWS


@pytest.mark.parametrize("block_bytes", BLOCKS)
@pytest.mark.parametrize("embedded", [False, True])
def test_lines_before_the_header_are_skipped_up_to_how_it_begins(
    block_bytes: int, embedded: bool
) -> None:
    layout = a_layout("pan", "note", preamble_until="pan,", embedded_newlines=embedded)
    assert cells('The "report\nof pan,note\n\n' + TABLE, layout, block_bytes) == ROWS
    assert cells(TABLE, layout, block_bytes) == ROWS


def test_a_preamble_may_stand_before_a_file_without_a_header() -> None:
    layout = headerless("pan", "note", preamble_lines=1)
    assert cells("Report of 2026\n1,a\n2,b", layout) == ROWS[:2]


@pytest.mark.parametrize("rule", [{"preamble_lines": 9}, {"preamble_until": "card"}])
def test_a_preamble_that_does_not_end_refuses_the_file(rule: dict[str, Any]) -> None:
    with pytest.raises(PermanentError, match="preamble_without_end"):
        cells(TABLE, a_layout("pan", "note", **rule))


@pytest.mark.parametrize("block_bytes", [16, 4096])
def test_comments_are_no_records_wherever_they_stand(block_bytes: int) -> None:
    layout = a_layout("pan", "note", comments=["#", "CHECKSUM="])
    content = '#"\n# x\npan,note\n1,a\n#2,b\n\n2,b\n3,c\n#\nCHECKSUM=4111'
    assert cells(content, layout, block_bytes) == ROWS


def test_comments_stand_beside_record_types() -> None:
    records = line_types(header="H", detail="D", trailer="T", totals={"count_field": 2})
    layout = headerless("kind", "pan", comments=["--"], records=records)
    assert cells("-- a\nH,1\nD,1\n--T,9\nT,1\n-- sha256 0f", layout) == [("D", "1")]


@pytest.mark.parametrize("block_bytes", BLOCKS)
@pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n"])
def test_the_last_lines_are_left_out_when_they_are_no_records(block_bytes: int, end: str) -> None:
    layout = a_layout("pan", "note", footer_lines=2)
    assert cells(TABLE + '3 rows\n\n"signed' + end, layout, block_bytes) == ROWS


def test_a_file_of_footers_only_has_no_rows() -> None:
    with pytest.raises(PermanentError, match="no_rows"):
        cells("a\nb", headerless("pan", footer_lines=3))


@given(block=st.integers(8, 60), rows=st.integers(1, 12), data=st.data())
@settings(max_examples=60)
def test_reading_goes_on_behind_any_batch_whatever_surrounds_the_rows(
    block: int, rows: int, data: st.DataObject
) -> None:
    layout = a_layout("pan", "note", preamble_lines=2, comments=["#"], footer_lines=1)
    lines = [f"{at},{'x' * (at % 4)}" for at in range(rows)]
    content = "\n".join(["Report", "", "#", "pan,note", *lines, "#", "end"]).encode()
    batches = list(read_delimited(io.BytesIO(content), layout, block_bytes=block + 8))
    cut = data.draw(st.integers(0, len(batches) - 1))
    end = batches[cut].end
    assert end is not None
    parts = [
        *read_delimited(
            io.BytesIO(content), layout, START, end.offset_bytes, block_bytes=block + 8
        ),
        *read_delimited(io.BytesIO(content), layout, end, block_bytes=block + 8),
    ]
    read_rows = [row["pan"] for part in parts for row in part.columns.to_pylist()]
    assert read_rows == [str(at) for at in range(rows)]
    numbers = [number for part in parts for number in part.row_numbers.to_pylist()]
    assert numbers == list(range(1, rows + 1))


@pytest.mark.parametrize("long_delimiter", [False, True])
def test_short_and_long_rows_are_rejected_unless_the_layout_says_otherwise(
    long_delimiter: bool,
) -> None:
    delimiter = "||" if long_delimiter else ","
    content = "1,a\n2\n3,c,\n4,d,x\n5,e".replace(",", delimiter)
    dialect = {"delimiter": delimiter, "quote": ""}

    def outcome(**rules: str) -> tuple[dict[int, tuple[str, ...]], list[int]]:
        reading = read(content.encode(), headerless("pan", "note", **dialect, **rules))
        return dict(reading.rows), list(reading.malformed)

    good = {1: ("1", "a"), 5: ("5", "e")}
    assert outcome() == (good, [2, 3, 4])
    assert outcome(short_rows="pad") == (good | {2: ("2", "")}, [3, 4])
    assert outcome(long_rows="cut_empty") == (good | {3: ("3", "c")}, [2, 4])
    assert outcome(long_rows="cut") == (good | {3: ("3", "c"), 4: ("4", "d")}, [2])


def test_a_quoted_row_that_is_mended_keeps_its_quotes_in_place() -> None:
    layout = headerless("pan", "note", "c", short_rows="pad", long_rows="cut")
    content = '"1","a, ""b"""\n2,"x,y",z,"w,"\n'
    assert cells(content, layout) == [("1", 'a, "b"', ""), ("2", "x,y", "z")]


def test_trimming_takes_spaces_around_cells_away() -> None:
    content = '"1","a b"   \n 2 ,\tb\t\n'
    assert cells(content, headerless("pan", "note", trim=True)) == [("1", "a b"), ("2", "b")]
    assert cells(content, headerless("pan", "note")) == [("1", "a b   "), (" 2 ", "\tb\t")]
