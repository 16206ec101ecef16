"""Parquet parts."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MAX_PART_BYTES = 64 * 1024 * 1024  # a part that grew beyond this is closed


REPEATED_TIMES = 4  # from then on, a dictionary of a column's values is worth its making


class PartWriter:
    """Writes record batches of one schema as a Parquet file, zstd-compressed.

    The first rows, `sample`, show which columns repeat their values.
    """

    def __init__(self, sink: Any, sample: pa.Table) -> None:
        self._writer = pq.ParquetWriter(
            sink,
            sample.schema,
            compression="zstd",
            store_schema=False,
            use_dictionary=_repetitive(sample),
        )
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        """Appends a row group."""
        self._writer.write_table(table)
        self.rows += table.num_rows

    def finish(self) -> None:
        """Writes the footer; without it the file is not readable."""
        self._writer.close()


def _repetitive(sample: pa.Table) -> list[str]:
    """The columns that hold the same values again and again."""
    most = sample.num_rows // REPEATED_TIMES
    return [name for name in sample.column_names if pc.count_distinct(sample[name]).as_py() <= most]
