"""Parquet parts."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MAX_PART_BYTES = 64 * 1024 * 1024  # a part that grew beyond this is closed


class PartWriter:
    """Writes record batches of one schema as a Parquet file, zstd-compressed."""

    def __init__(self, sink: Any, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(sink, schema, compression="zstd", store_schema=False)
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        """Appends a row group."""
        self._writer.write_table(table)
        self.rows += table.num_rows

    def finish(self) -> None:
        """Writes the footer; without it the file is not readable."""
        self._writer.close()
