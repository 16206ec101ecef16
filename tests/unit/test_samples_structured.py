"""Every structured sample, end to end in memory: each token opened and held against the input."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import fastavro
import openpyxl
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from pipeline.samples.files import SAMPLE_FILES
from tests.unit.test_tokenize import Bench

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_data"
Rows = list[dict[str, Any]]


def json_rows(text: str) -> Rows:
    return [json.loads(line) for line in text.splitlines()]


def csv_rows(content: bytes) -> Rows:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def workbook_rows(path: Path) -> Rows:
    rows = openpyxl.load_workbook(path).active.iter_rows(min_row=3, values_only=True)
    names = next(rows)
    return [dict(zip(names, row, strict=True)) for row in rows]


def zip_rows(path: Path) -> Rows:
    with zipfile.ZipFile(path) as archive:
        return [row for name in archive.namelist() for row in csv_rows(archive.read(name))]


# By another reader than the product's: the layout, what reads the rows, where the PAN is.
EXPECTED: dict[str, tuple[str, Callable[[Path], Rows], str]] = {
    "card_present.jsonl": (
        "card-present-jsonl",
        lambda path: json_rows(path.read_text("utf-8")),
        "payment.card.number",
    ),
    "card_present.json": (
        "card-present-json",
        lambda path: json.loads(path.read_text("utf-8"))["transactions"],
        "payment.card.number",
    ),
    "card_present.parquet": (
        "card-present-parquet",
        lambda path: pq.read_table(path).to_pylist(),
        "card_number",
    ),
    "card_present.orc": (
        "card-present-orc",
        lambda path: pyarrow.orc.read_table(path).to_pylist(),
        "card_number",
    ),
    "card_present.avro": (
        "card-present-avro",
        lambda path: list(fastavro.reader(io.BytesIO(path.read_bytes()))),
        "card.number",
    ),
    "card_present.xlsx": ("card-present-xlsx", workbook_rows, "card_number"),
    "card_present_parts.zip": ("card-present", zip_rows, "card_number"),
    "card_present.csv.gz": (
        "card-present",
        lambda path: csv_rows(gzip.decompress(path.read_bytes())),
        "card_number",
    ),
}


def at_path(row: Any, path: str) -> Any:
    for name in path.split("."):
        row = row[name]
    return row


def test_every_structured_sample_is_shown() -> None:
    assert set(EXPECTED) == {
        name for name in SAMPLE_FILES if not name.endswith((".csv", ".txt", ".bin"))
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample_goes_through_and_every_token_opens_to_its_pan(name: str) -> None:
    layout_name, read, pan_column = EXPECTED[name]
    document = (ROOT / "pipeline/layouts_builtin" / f"{layout_name}.toml").read_text("utf-8")
    bench = Bench(document)
    receipt = bench.run((SAMPLES / name).read_bytes(), layout_name)
    rows = read(SAMPLES / name)
    table = bench.table(receipt)
    pans = [str(at_path(row, pan_column)) for row in rows]
    assert bench.opened(table[f"{pan_column}_token"].to_pylist()) == pans
    assert receipt["rows_rejected"] == 0
    assert receipt["luhn_failed"] == 0
    assert set(receipt["columns"]["tokenized"]) == {pan_column}
    ids = [row["transaction_id"] for row in rows]
    assert table["transaction_id"].to_pylist() == ids
    amount = "payment.amount" if "payment.amount" in table.column_names else "amount"
    amounts = [float(at_path(row, amount)) for row in rows]
    assert [float(each) for each in table[amount].to_pylist()] == amounts
    days = [_day(row["settlement_date"]) for row in rows]
    assert table["settlement_date"].to_pylist() == days


def _day(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(value)
