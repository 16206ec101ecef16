"""Rejected rows as they are kept for repair."""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.rejects import reject_line


@given(
    row=st.integers(1, 2**40),
    column=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    record=st.binary() | st.text(st.characters(exclude_categories=["Cs"])).map(str.encode),
)
def test_a_rejected_row_is_one_line_and_can_be_restored(
    row: int, column: str | None, record: bytes
) -> None:
    line = reject_line(row, "pan_empty", column, record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    document = json.loads(line)
    assert (document["row"], document["reason"], document["column"]) == (row, "pan_empty", column)
    if "record" in document:
        assert "record_base64" not in document
        assert document["record"].encode() == record
    else:
        assert base64.b64decode(document["record_base64"]) == record


def test_text_is_kept_as_text_and_other_bytes_as_base64() -> None:
    assert json.loads(reject_line(1, "x", None, "ü,\x00\n".encode())) == {
        "row": 1,
        "reason": "x",
        "column": None,
        "record": "ü,\x00\n",
    }
    assert json.loads(reject_line(1, "x", "c", b"\xff"))["record_base64"] == "/w=="
