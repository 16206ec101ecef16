"""Rows of which every named field could be read, and a reason for each of the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.readers.cells import Cells
from pipeline.readers.records import MalformedRow


@dataclass(frozen=True, slots=True)
class SoundRows:
    """Columns (`string`) of the rows that could be read, their numbers (`int64`), and the rest."""

    columns: pa.RecordBatch = field(repr=False)
    numbers: pa.Array
    malformed: Sequence[MalformedRow]

    @classmethod
    def none(cls, names: Sequence[str], malformed: Sequence[MalformedRow]) -> Self:
        """Not one."""
        schema = pa.schema([(name, pa.string()) for name in names])
        return cls(
            pa.RecordBatch.from_pylist([], schema=schema), pa.array([], pa.int64()), malformed
        )

    @classmethod
    def together(cls, parts: Iterable[SoundRows]) -> SoundRows:
        """The rows of all parts in the order of their numbers."""
        filled = [part for part in parts if part.columns.num_rows or part.malformed]
        if len(filled) == 1:
            return filled[0]
        numbers = pa.concat_arrays([part.numbers for part in filled])
        order = pc.sort_indices(numbers)
        table = pa.Table.from_batches([part.columns for part in filled]).take(order)
        malformed = [row for part in filled for row in part.malformed]
        columns = pa.RecordBatch.from_arrays(
            [column.combine_chunks() for column in table.columns], schema=table.schema
        )
        return cls(columns, numbers.take(order), sorted(malformed, key=lambda row: row.row_number))


def sound_rows(
    cells: Mapping[str, Cells],
    reasons: Mapping[str, str],
    numbers: pa.Array,
    faulty: Mapping[int, str],
) -> SoundRows:
    """Leaves out the rows in `faulty` (by index), and those with a cell that could not be read.

    `reasons` says by column how to call that; columns that are not in it do not matter.
    """
    faults: dict[int, tuple[str, str | None]] = {at: (why, None) for at, why in faulty.items()}
    for name, reason in reasons.items():
        wrong = cells[name].wrong
        if wrong is not None:
            for at in pc.indices_nonzero(wrong).to_pylist():
                faults.setdefault(at, (reason, name))
    batch = pa.RecordBatch.from_arrays(
        [each.text for each in cells.values()],
        schema=pa.schema([(name, pa.string()) for name in cells]),
    )
    if not faults:
        return SoundRows(batch, numbers, ())
    bad = pa.array(sorted(faults), pa.int64())
    malformed = [
        MalformedRow(number, *faults[at])
        for at, number in zip(bad.to_pylist(), numbers.take(bad).to_pylist(), strict=True)
    ]
    good = pc.invert(pc.is_in(pa.array(range(len(numbers)), pa.int64()), value_set=bad))
    return SoundRows(batch.filter(good), numbers.filter(good), malformed)
