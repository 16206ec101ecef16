"""Reads a file as the reader does, into plain values, and holds the reader to its accounting."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.core.layouts import Layout
from pipeline.readers.delimited import read_delimited

PAN = "4111111111111111"


@dataclass(frozen=True)
class Reading:
    """Everything that came out of a file; rows, faults and raw records by row number."""

    file_columns: tuple[str, ...]
    rows: Mapping[int, tuple[str, ...]]
    malformed: Mapping[int, str]
    raw: Mapping[int, bytes]

    @property
    def cells(self) -> list[tuple[str, ...]]:
        return list(self.rows.values())


def a_layout(
    *columns: str,
    records: dict[str, Any] | None = None,
    roles: dict[str, str] | None = None,
    **format_settings: Any,
) -> Layout:
    """A layout whose first column is the PAN and whose others are kept as text."""
    given = {name: {"role": "keep"} for name in columns[1:]}
    given |= {name: {"role": role} for name, role in (roles or {}).items()}
    return Layout.model_validate(
        {
            "name": "test",
            "format": format_settings,
            "columns": {columns[0]: {"role": "pan"}, **given},
            "records": records,
        }
    )


def line_types(
    *, header: str = "", detail: str = "", trailer: str = "", totals: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Records of a header, details and a trailer, told apart by how they begin."""
    types: dict[str, Any] = {"detail": {"match": detail} if detail else {}}
    if header:
        types["header"] = {"match": header, "role": "skip"}
    if trailer:
        types["trailer"] = {"match": trailer, "role": "trailer", "totals": totals}
    return {"types": types}


def headerless(*columns: str, **settings: Any) -> Layout:
    """A layout of a file without a header, whose columns are these and no others."""
    return a_layout(*columns, header=False, fields=columns, **settings)


def read(content: bytes, layout: Layout, block_bytes: int = 1 << 16) -> Reading:
    """Raises what the reader raises, and `AssertionError` when a record is lost or doubled."""
    rows: dict[int, tuple[str, ...]] = {}
    malformed: dict[int, str] = {}
    raw: dict[int, bytes] = {}
    file_columns: tuple[str, ...] = ()
    for batch in read_delimited(io.BytesIO(content), layout, block_bytes=block_bytes):
        first = len(rows) + len(malformed) + 1
        numbers = batch.row_numbers.to_pylist()
        faults = [(row.row_number, row.reason) for row in batch.malformed]
        assert len(numbers) == batch.columns.num_rows
        assert sorted([*numbers, *(number for number, _ in faults)]) == list(
            range(first, first + batch.rows)
        )
        assert numbers == sorted(numbers)
        assert faults == sorted(faults)
        assert all(column.type == pa.string() for column in batch.columns.columns)
        assert all(column.null_count == 0 for column in batch.columns.columns) or layout.records
        batch.columns.validate(full=True)
        cells = [column.to_pylist() for column in batch.columns.columns]
        rows |= dict(zip(numbers, zip(*cells, strict=True), strict=True))
        malformed |= dict(faults)
        raw |= {at: batch.raw_record(at) for at in range(first, first + batch.rows)}
        assert file_columns in ((), tuple(batch.file_columns))
        file_columns = tuple(batch.file_columns)
    return Reading(file_columns, rows, malformed, raw)
