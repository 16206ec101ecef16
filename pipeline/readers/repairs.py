"""Repaired rows of an earlier job, read together with those that nobody repaired.

Both add up to the rows that the earlier job rejected: what is not repaired is rejected again, for
the reason that it had.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.formats import as_delimited
from pipeline.core.layouts import Layout
from pipeline.core.rejects import MalformedLineError, RejectedRow, parse_line
from pipeline.errors import PermanentError
from pipeline.readers.delimited import is_one_record, read_delimited
from pipeline.readers.framing import ByteSource
from pipeline.readers.records import MalformedRow, TextRecordBatch

MAX_REPAIR_BYTES = 64 * 1024 * 1024  # of repaired rows: they are held in memory
ROWS_AT_ONCE = 20_000


def read_repairs(
    stream: ByteSource, layout: Layout, rejected: Iterable[bytes]
) -> Iterator[TextRecordBatch]:
    """All rows that a job rejected, the repaired ones as their repair says.

    `stream` holds JSON lines as `pantok rejects export` writes them, `rejected` are the lines of
    the job's rejects files, each file with its columns first. Raises `PermanentError`:
    `repair_too_large`, `malformed_repair` with the number of a line, `unknown_row` with the number
    of a row that was not rejected, `missing_column` when the layout names one that the file lacks.
    """
    repairs = _Repairs.read(stream)
    rows = _RejectedRows(rejected)
    while some := list(islice(rows, ROWS_AT_ONCE)):
        columns = repairs.checked_columns(rows.columns, layout)
        yield _Batch(columns, _without_header(layout, columns), repairs, some).read()
    if repairs.records:
        raise PermanentError("unknown_row", f"row {min(repairs.records)} was not rejected")


class _RejectedRows:
    """The rows of rejects files; `columns` are known from the first one on."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self.columns: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[RejectedRow]:
        for line in self._lines:
            parsed = parse_line(line)
            if isinstance(parsed, RejectedRow):
                yield parsed
            else:
                self.columns = parsed


@dataclass(slots=True)
class _Repairs:
    """Repaired records by the number of their row; each is taken out once it is used."""

    columns: tuple[str, ...]
    records: dict[int, tuple[int, bytes]] = field(repr=False)  # with the number of its line

    @classmethod
    def read(cls, stream: ByteSource) -> _Repairs:
        content = b""
        while fresh := stream.read(MAX_REPAIR_BYTES):
            content += fresh
            if len(content) > MAX_REPAIR_BYTES:
                limit = f"more than {MAX_REPAIR_BYTES} bytes of rows"
                raise PermanentError("repair_too_large", limit)
        repairs = cls((), {})
        for number, line in enumerate(content.split(b"\n"), start=1):
            if line.strip():
                repairs._take(number, line)
        return repairs

    def _take(self, number: int, line: bytes) -> None:
        try:
            parsed = parse_line(line)
        except MalformedLineError as error:
            raise _malformed(number, str(error)) from None
        if not isinstance(parsed, RejectedRow):
            self.columns = parsed
        elif parsed.row in self.records:
            raise _malformed(number, f"row {parsed.row} for the second time")
        else:
            self.records[parsed.row] = number, parsed.record

    def checked_columns(self, columns: tuple[str, ...], layout: Layout) -> tuple[str, ...]:
        """The file's columns, which the repair may name, but not rename."""
        if self.columns not in ((), columns):
            raise PermanentError("malformed_repair", "its columns are not those of the file")
        missing = [name for name in layout.named_columns if name not in columns]
        if missing:
            raise PermanentError("missing_column", f"not in the file: {', '.join(missing)}")
        return columns


def _malformed(line_number: int, why: str) -> PermanentError:
    return PermanentError("malformed_repair", f"line {line_number}: {why}")


def _without_header(layout: Layout, columns: tuple[str, ...]) -> Layout:
    """The layout of records that stand alone, as rejects files hold them."""
    records = layout.records.of_repairs() if layout.records else None
    names = () if records and records.fields else tuple(columns)
    stripped = {"records": records, "format": layout.format.of_records(names)}
    return layout.model_copy(update=stripped)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some rejected rows, in their order, and what has become of them."""

    columns: Sequence[str]
    layout: Layout
    repairs: _Repairs
    rows: Sequence[RejectedRow] = field(repr=False)

    def read(self) -> TextRecordBatch:
        repaired = [row.row for row in self.rows if row.row in self.repairs.records]
        left = [row for row in self.rows if row.row not in self.repairs.records]
        records = [self._record(number) for number in repaired]
        batch = self._parsed(records) if records else None
        kept_records = {row.row: row.record for row in left}
        ordinals = {number: at for at, number in enumerate(repaired, start=1)}
        malformed = [MalformedRow(row.row, row.reason, row.column) for row in left]
        row_numbers = pa.array([], pa.int64())
        if batch is not None:
            malformed += [
                MalformedRow(repaired[row.row_number - 1], row.reason) for row in batch.malformed
            ]
            row_numbers = pa.array(repaired, pa.int64()).take(_minus_one(batch.row_numbers))

        def raw_record(number: int) -> bytes:
            if number in kept_records or batch is None:
                return kept_records[number]
            return batch.raw_record(ordinals[number])

        return TextRecordBatch(
            file_columns=self.columns,
            columns=batch.columns if batch is not None else self._no_rows(),
            row_numbers=row_numbers,
            malformed=malformed,
            raw_record=raw_record,
        )

    def _record(self, row: int) -> bytes:
        line_number, record = self.repairs.records.pop(row)
        record = record.rstrip(b"\r\n")
        if not is_one_record(record, as_delimited(self.layout.format)):
            raise _malformed(line_number, "not one record")
        return record

    def _parsed(self, records: Sequence[bytes]) -> TextRecordBatch:
        # A line end comes first: what looks like a byte order mark is part of the first record.
        body = b"\n" + b"\n".join(records) + b"\n"
        (batch,) = read_delimited(io.BytesIO(body), self.layout, block_bytes=len(body) + 1)
        if batch.rows != len(records):
            raise PermanentError("malformed_repair", "records that are not one record each")
        return batch

    def _no_rows(self) -> pa.RecordBatch:
        named = set(self.layout.named_columns)
        schema = pa.schema([(name, pa.string()) for name in self.columns if name in named])
        return pa.RecordBatch.from_pylist([], schema=schema)


def _minus_one(numbers: pa.Array) -> pa.Array:
    return pc.subtract(numbers, 1)
