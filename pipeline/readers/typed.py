"""Files of typed columns: what Parquet and ORC have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import Column
from pipeline.core.guard import could_hold_pan
from pipeline.core.layouts import Layout
from pipeline.core.sensitive import is_sensitive_name
from pipeline.errors import PermanentError
from pipeline.model import Position
from pipeline.readers.arrow_text import Reasons, flattened, rendered_cell, text_of_column
from pipeline.readers.foreign import damage_as_errors
from pipeline.readers.records import MalformedRow, TextRecordBatch
from pipeline.readers.rendering import csv_record

MAX_COLUMNS = 10_000
MAX_BATCH_BYTES = 16 * 1024 * 1024  # of text; a small dictionary can stand for any amount of it


class TypedFile(Protocol):
    """A file of a format with typed columns."""

    @property
    def format_name(self) -> str:
        """What a person calls the format."""

    @property
    def names(self) -> Sequence[str]:
        """The columns, members of structs with the path to them."""

    @property
    def rows(self) -> int:
        """How many there are."""

    def batches(
        self, names: Sequence[str] | None, first_row: int
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The rows from `first_row` (from 0) on, all columns or some, each with its first row.

        Where batches begin does not depend on the columns.
        """


def check_names(names: Sequence[str], layout: Layout) -> None:
    """Raises `PermanentError` for column names that do not fit.

    `too_many_columns`, `header_looks_like_data`, `missing_column`, `duplicate_column`.
    """
    if len(names) > MAX_COLUMNS:
        raise PermanentError("too_many_columns", f"more than {MAX_COLUMNS} columns")
    for at, name in enumerate(names, start=1):
        if could_hold_pan(name):
            raise PermanentError(
                "header_looks_like_data", f"the name of column {at} holds a long number"
            )
    missing = [name for name in layout.named_columns if name not in names]
    if missing:
        raise PermanentError("missing_column", f"not in the file: {', '.join(missing)}")
    twice = [name for name in layout.named_columns if names.count(name) > 1]
    if twice:
        raise PermanentError("duplicate_column", f"twice in the file: {', '.join(twice)}")


def read_typed(
    file: TypedFile, layout: Layout, first_row: int, end_row: int | None
) -> Iterator[TextRecordBatch]:
    """The rows of the file as text, from `first_row` (from 0) up to `end_row`.

    Positions count rows. Raises what `check_names` raises, `no_rows`, `malformed_file`, and what
    `text_of_column` says of the types of PAN columns.
    """
    with damage_as_errors(file.format_name):
        names, total = list(file.names), file.rows
    check_names(names, layout)
    if not total:
        raise PermanentError("no_rows", "the file holds no data records")
    named = set(layout.named_columns)
    wanted = [name for name in names if name in named]
    whole_rows = _WholeRows(file)
    at = first_row
    for begin, batch in _understood(file, wanted, first_row):
        for piece in _pieces(_flat(batch)):
            if end_row is not None and at >= end_row:
                return
            yield _text_batch(piece, names, wanted, layout, at, whole_rows)
            at += piece.num_rows
        if at != begin + batch.num_rows:
            raise PermanentError("malformed_file", "rows are missing")
    if at != total and end_row is None:
        raise PermanentError("malformed_file", f"{total} rows are announced, {at} are there")


def _understood(
    file: TypedFile, names: Sequence[str] | None, first_row: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    with damage_as_errors(file.format_name):
        batches = file.batches(names, first_row)
    while True:
        with damage_as_errors(file.format_name):
            item = next(batches, None)
        if item is None:
            return
        yield item


def _flat(batch: pa.RecordBatch) -> pa.Table:
    """The columns, of which no cell points out of its dictionary: Arrow believes the file there."""
    table = flattened(batch)
    for column in table.columns:
        if pa.types.is_dictionary(column.type) and not all(map(_is_sound, column.chunks)):
            raise PermanentError("malformed_file", "a cell points out of its dictionary")
    return table


def _is_sound(cells: pa.DictionaryArray) -> bool:
    bounds = pc.min_max(cells.indices).as_py()
    return bounds["min"] is None or 0 <= bounds["min"] <= bounds["max"] < len(cells.dictionary)


def _pieces(table: pa.Table) -> Iterator[pa.Table]:
    """The table in pieces that are not too large as text."""
    if table.num_rows > 1 and _text_bytes(table) > MAX_BATCH_BYTES:
        half = table.num_rows // 2
        yield from _pieces(table.slice(0, half))
        yield from _pieces(table.slice(half))
    elif table.num_rows:
        yield table


def _text_bytes(table: pa.Table) -> int:
    return sum(_column_bytes(chunk) for column in table.columns for chunk in column.chunks)


def _column_bytes(cells: pa.Array) -> int:
    if not pa.types.is_dictionary(cells.type):
        return int(cells.nbytes)
    lengths = pc.binary_length(cells.dictionary).cast(pa.int64())
    return pc.sum(lengths.take(cells.indices)).as_py() or 0


def _text_batch(
    table: pa.Table,
    names: Sequence[str],
    wanted: Sequence[str],
    layout: Layout,
    first_row: int,
    whole_rows: _WholeRows,
) -> TextRecordBatch:
    columns: list[pa.Array] = []
    faults: dict[int, tuple[str, str]] = {}
    for name in wanted:
        column = layout.columns.get(name, Column(role="drop"))
        cells = table.column(name).combine_chunks()
        texts, reasons = _as_text(cells, column, name)
        columns.append(texts)
        for at, reason in reasons.items():
            faults.setdefault(at, (reason, name))
    batch = pa.RecordBatch.from_arrays(columns, names=list(wanted))
    numbers = pa.array(range(first_row + 1, first_row + 1 + table.num_rows), pa.int64())
    if faults:
        good = pa.array([at not in faults for at in range(table.num_rows)])
        batch, numbers = batch.filter(good), numbers.filter(good)
    end = first_row + table.num_rows
    return TextRecordBatch(
        file_columns=names,
        columns=batch,
        row_numbers=numbers,
        malformed=[MalformedRow(first_row + 1 + at, *faults[at]) for at in sorted(faults)],
        raw_record=lambda number: whole_rows.rendered(number - 1),
        end=Position(end, end),
    )


def _as_text(cells: pa.Array, column: Column, name: str) -> tuple[pa.Array, Reasons]:
    if isinstance(cells, pa.ChunkedArray):
        cells = pa.concat_arrays(cells.chunks) if cells.chunks else pa.array([], cells.type)
    with damage_as_errors("valid"):
        return text_of_column(cells, column, name)


@dataclass(slots=True)
class _WholeRows:
    """All columns of single rows, read again when somebody asks for one."""

    file: TypedFile
    _ahead: Iterator[tuple[int, pa.RecordBatch]] = field(default_factory=lambda: iter(()))
    _first_row: int = 0
    _table: pa.Table | None = field(default=None, repr=False)

    def rendered(self, row: int) -> bytes:
        """The row as comma-separated text, less the sensitive columns."""
        if self._table is None or row < self._first_row:
            self._ahead = _understood(self.file, None, row)
            self._next()
        while self._table is not None and row >= self._first_row + self._table.num_rows:
            self._next()
        if self._table is None:
            raise PermanentError("malformed_file", "a row cannot be read again")
        at = row - self._first_row
        return csv_record(
            "" if is_sensitive_name(name) else rendered_cell(column[at])
            for name, column in zip(self._table.column_names, self._table.columns, strict=True)
        )

    def _next(self) -> None:
        item = next(self._ahead, None)
        self._table = None if item is None else _flat(item[1])
        self._first_row = 0 if item is None else item[0]
