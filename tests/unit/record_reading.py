"""Reads files of records as their readers do, whole and in pieces, and holds both to account."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.core.layout_documents import parse_layout
from pipeline.core.layouts import Layout
from pipeline.model import START, Position
from pipeline.readers.ctf import read_ctf
from pipeline.readers.fixed import read_fixed
from pipeline.readers.ipm import read_ipm

PAN = "4111111111111111"
READERS: Mapping[str, Any] = {"fixed": read_fixed, "ctf": read_ctf, "ipm": read_ipm}


@dataclass
class Reading:
    """Everything that came out of a file; rows, faults and raw records by row number."""

    file_columns: tuple[str, ...] = ()
    rows: dict[int, dict[str, str]] = field(default_factory=dict)
    malformed: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    raw: dict[int, bytes] = field(default_factory=dict)
    ends: list[Position | None] = field(default_factory=list)

    @property
    def cells(self) -> list[tuple[str, ...]]:
        return [tuple(row.values()) for row in self.rows.values()]

    def column(self, name: str) -> list[str]:
        return [row[name] for row in self.rows.values()]

    def repairable(self, row: int) -> dict[str, str]:
        """What a person finds of a row: the cells of its one delimited record, by column."""
        (cells,) = csv.reader(io.StringIO(self.raw[row].decode(), newline=""), strict=True)
        return dict(zip(self.file_columns, cells, strict=True))


def a_layout(text: str) -> Layout:
    return parse_layout(f'name = "test"\n{text}'.encode())


def read_part(
    content: bytes, layout: Layout, start: Position, end: int | None, block_bytes: int
) -> Reading:
    reading = Reading()
    reader = READERS[layout.format.type]
    rows_before = start.rows
    for batch in reader(io.BytesIO(content), layout, start, end, block_bytes=block_bytes):
        first = rows_before + len(reading.rows) + len(reading.malformed) + 1
        numbers = batch.row_numbers.to_pylist()
        faults = [(row.row_number, (row.reason, row.column)) for row in batch.malformed]
        assert sorted([*numbers, *(number for number, _ in faults)]) == list(
            range(first, first + batch.rows)
        )
        assert numbers == sorted(numbers)
        assert len(numbers) == batch.columns.num_rows
        assert all(column.type == pa.string() for column in batch.columns.columns)
        assert all(column.null_count == 0 for column in batch.columns.columns)
        batch.columns.validate(full=True)
        assert reading.file_columns in ((), tuple(batch.file_columns))
        reading.file_columns = tuple(batch.file_columns)
        reading.rows |= dict(zip(numbers, batch.columns.to_pylist(), strict=True))
        reading.malformed |= dict(faults)
        reading.raw |= {at: batch.raw_record(at) for at in range(first, first + batch.rows)}
        assert batch.end is None or batch.end.rows == first + batch.rows - 1
        reading.ends.append(batch.end)
    return reading


def read(content: bytes, layout: Layout, block_bytes: int = 1 << 16) -> Reading:
    """The file at once; fails unless it reads the same in pieces, wherever it can be parted."""
    whole = read_part(content, layout, START, None, block_bytes)
    places = [end for end in whole.ends if end is not None]
    for place in (places[0], places[-1]) if places else ():
        head = read_part(content, layout, START, place.offset_bytes, block_bytes)
        tail = read_part(content, layout, place, None, block_bytes)
        assert head.rows | tail.rows == whole.rows
        assert head.malformed | tail.malformed == whole.malformed
        assert head.raw | tail.raw == whole.raw
    return whole
