"""The records of a file, or of the members of an archive one behind the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError
from pipeline.model import START, Position
from pipeline.readers.containers import BEGINNING_BYTES, refuse_other_formats
from pipeline.readers.records import MalformedRow, TextRecordBatch
from pipeline.readers.registry import read_record_batches
from pipeline.readers.streams import LookAhead

Members = Sequence[Callable[[], LookAhead]]
"""What opens each of them at its beginning; one for what is no archive."""


def first_bytes(members: Members, size: int) -> bytes:
    """How the first member begins."""
    beginning = members[0]().peek(size)
    refuse_other_formats(beginning, "delimited")
    return beginning


def read_members(
    members: Members, layout: Layout, start: Position = START, end: Position | None = None
) -> Iterator[TextRecordBatch]:
    """The records from `start` up to `end`, or to the end of the last member.

    Rows are numbered over all members. Each member is a file of its own, with column names and
    trailer if the layout has them, and all have the same columns. Raises `PermanentError`
    `members_differ` when they have not, and whatever the format's reader raises, with the
    member's place.
    """
    rows = start.rows
    columns: Sequence[str] | None = None
    for at in range(start.member, len(members)):
        is_last = end is not None and at == end.member
        here = start if at == start.member else START
        end_bytes = end.offset_bytes if end is not None and is_last else None
        shift = rows - here.rows
        for batch in _of_member(members, at, layout, here, end_bytes):
            if columns not in (None, batch.columns_of_records):
                raise PermanentError("members_differ", f"member {at + 1} has other columns")
            columns = batch.columns_of_records
            rows += batch.rows
            yield _placed(batch, at, shift)
        if is_last:
            return


def _of_member(
    members: Members, at: int, layout: Layout, start: Position, end_bytes: int | None
) -> Iterator[TextRecordBatch]:
    try:
        stream = members[at]()
        refuse_other_formats(stream.peek(BEGINNING_BYTES), layout.format.type)
        yield from read_record_batches(stream, layout, start, end_bytes)
    except PermanentError as error:
        if len(members) == 1:
            raise
        raise PermanentError(error.code, f"member {at + 1}: {error.detail}") from None


def _placed(batch: TextRecordBatch, member: int, shift: int) -> TextRecordBatch:
    """The batch with the row numbers and the position that it has in the whole archive."""
    if not (member or shift):
        return batch
    end = batch.end
    return replace(
        batch,
        row_numbers=pc.add(batch.row_numbers, pa.scalar(shift, pa.int64())),
        malformed=[
            MalformedRow(row.row_number + shift, row.reason, row.column) for row in batch.malformed
        ],
        raw_record=lambda number: batch.raw_record(number - shift),
        end=replace(end, rows=end.rows + shift, member=member) if end is not None else None,
    )
