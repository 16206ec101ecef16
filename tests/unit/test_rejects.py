"""Rejected rows as they are kept for repair."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.rejects import MAX_ROW, MalformedLineError, RejectedRow, columns_line, parse_line

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    row=st.integers(1, MAX_ROW - 1),
    column=st.none() | TEXT,
    record=st.binary() | TEXT.map(str.encode),
)
def test_a_rejected_row_is_one_line_and_can_be_restored(
    row: int, column: str | None, record: bytes
) -> None:
    rejected = RejectedRow(row, "pan_empty", column, record)
    line = rejected.as_line()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert parse_line(line) == rejected


@given(columns=st.lists(TEXT))
def test_columns_are_one_line_and_can_be_restored(columns: list[str]) -> None:
    line = columns_line(columns)
    assert line.count(b"\n") == 1
    assert parse_line(line) == tuple(columns)


def test_text_is_kept_as_text_and_other_bytes_as_base64() -> None:
    text = RejectedRow(1, "x", None, "\u00fc,\x00\n".encode()).as_line()
    assert json.loads(text) == {
        "row": 1,
        "reason": "x",
        "column": None,
        "record": "\u00fc,\x00\n",
    }
    assert json.loads(RejectedRow(1, "x", "c", b"\xff").as_line())["record_base64"] == "/w=="


@given(line=st.binary() | TEXT.map(str.encode))
def test_any_line_is_understood_or_malformed(line: bytes) -> None:
    try:
        parse_line(line)
    except MalformedLineError as error:
        assert error.__suppress_context__ or error.__context__ is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"7",
        b"null",
        b"{}",
        b'{"row": "1", "record": "x"}',
        b'{"row": true, "record": "x"}',
        b'{"row": 1}',
        b'{"row": 0, "record": "x"}',
        b'{"row": 4111111111111111, "record": "x"}',
        b'{"row": 1, "record": 7}',
        b'{"row": 1, "record_base64": "\xc3\xbc"}',
        b'{"row": 1, "record": "\\ud800"}',
        b'{"row": 1, "record": "x", "reason": 7}',
        b'{"columns": "a"}',
        b'{"columns": [1]}',
    ],
)
def test_what_is_no_row_is_malformed(line: bytes) -> None:
    with pytest.raises(MalformedLineError):
        parse_line(line)
