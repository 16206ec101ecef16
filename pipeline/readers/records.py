"""What every reader yields: Arrow columns of text, with the place of each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.model import Position


@dataclass(frozen=True, slots=True)
class MalformedRow:
    """A record that could not become a row, by its number in the file (from 1)."""

    row_number: int
    reason: str
    column: str | None = None


@dataclass(frozen=True, slots=True)
class TextRecordBatch:
    """Some consecutive records of a file.

    `file_columns` names all columns of the file, in its order. `columns` holds those that the
    layout names, as `string` without nulls, for the rows that could be read;
    `row_numbers` (`int64`) says which record of the file each one is, counted from 1 over all data
    records; `malformed` are the others. `raw_record` gives a record's original bytes, less the
    sensitive authentication data in it; its fields are `record_columns`, or, where that is None,
    the columns of the file. `end` is the position behind these records, None where the file cannot
    be parted.
    """

    file_columns: Sequence[str]
    columns: pa.RecordBatch = field(repr=False)
    row_numbers: pa.Array
    malformed: Sequence[MalformedRow]
    raw_record: Callable[[int], bytes] = field(repr=False)
    end: Position | None = None
    record_columns: Sequence[str] | None = None

    @property
    def columns_of_records(self) -> Sequence[str]:
        """The names of a raw record's fields."""
        return self.file_columns if self.record_columns is None else self.record_columns

    @property
    def rows(self) -> int:
        """All records that this batch accounts for, malformed ones included."""
        return int(self.columns.num_rows) + len(self.malformed)
