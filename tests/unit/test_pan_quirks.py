"""The table of docs/pans.md: each row is what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.core.layouts import Layout
from pipeline.core.rows import check_rows

DOCUMENT = (Path(__file__).parents[2] / "docs" / "pans.md").read_text("utf-8").split("\n## ")[0]
ROW = re.compile(r"^\| ([^|]+?) \| `([^`|]+)` \| (?:`([^`|]+)`)? ?\| `([^`|]+)` \|", re.MULTILINE)
ROWS = [match.groups(default="") for match in ROW.finditer(DOCUMENT)]


@pytest.mark.parametrize(
    ("cell", "rule", "outcome"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_a_cell_becomes_what_the_table_says(cell: str, rule: str, outcome: str) -> None:
    settings = {"role": "pan"} | tomllib.loads(rule)
    layout = Layout.model_validate({"name": "x", "columns": {"pan": settings}})
    checked = check_rows(pa.RecordBatch.from_pydict({"pan": [cell]}), layout)
    if outcome.startswith("pan_"):
        assert [fault.reason for fault in checked.faults] == [outcome]
        assert cell.strip() == "" or checked.pans["pan"].to_pylist() == []
        return
    assert not checked.faults
    token = cell if outcome == "token" else None
    digits = outcome if outcome.isdigit() else None
    assert checked.passed_on["pan"].to_pylist() == [token]
    assert checked.pans["pan"].to_pylist() == [digits]


def test_the_table_is_read_whole() -> None:
    table = [line for line in DOCUMENT.splitlines() if line.startswith("| ")]
    assert len(ROWS) == len(table) - 1
