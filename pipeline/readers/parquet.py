"""Apache Parquet, a few row groups' worth of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.layouts import Layout
from pipeline.model import START, Position
from pipeline.readers.arrow_text import flattened_names
from pipeline.readers.foreign import damage_as_errors
from pipeline.readers.framing import BLOCK_BYTES, SeekableSource
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.streams import PIECE_BYTES, seekable_file
from pipeline.readers.typed import read_typed

MAX_ROWS_AT_ONCE = 50_000
_FOOTER_BYTES = 8 * 1024 * 1024  # of one string or list in it; ten thousand columns need less


def read_parquet(
    stream: SeekableSource,
    layout: Layout,
    start: Position = START,
    end_bytes: int | None = None,
    *,
    max_rows: int = MAX_ROWS_AT_ONCE,
) -> Iterator[TextRecordBatch]:
    """The rows of a Parquet file; positions count rows.

    Raises `PermanentError`: `malformed_file`, `too_large_for_memory`, and what `read_typed` raises.
    """
    source = seekable_file(stream)
    with damage_as_errors("Parquet"):
        file = _ParquetFile(source, max_rows)
    return read_typed(file, layout, start.offset_bytes, end_bytes)


class _ParquetFile:
    format_name = "Parquet"

    def __init__(self, source: BinaryIO, max_rows: int) -> None:
        self._source = source
        plain = self._opened(())
        self._metadata = plain.metadata
        self.names: Sequence[str] = flattened_names(plain.schema_arrow)
        self.rows: int = self._metadata.num_rows
        texts = [
            path.path
            for path in (plain.schema.column(at) for at in range(len(plain.schema)))
            if path.physical_type == "BYTE_ARRAY" and path.max_repetition_level == 0
        ]
        self._file = self._opened(texts)
        self._rows_at_once = min(max_rows, self._rows_of(BLOCK_BYTES))

    def _opened(self, dictionary_columns: Sequence[str]) -> Any:
        """Texts stay dictionaries: what they stand for may be larger than any memory."""
        self._source.seek(0)
        return pq.ParquetFile(
            self._source,
            read_dictionary=list(dictionary_columns),
            buffer_size=PIECE_BYTES,
            pre_buffer=False,
            thrift_string_size_limit=_FOOTER_BYTES,
            thrift_container_size_limit=_FOOTER_BYTES,
        )

    def _rows_of(self, size_bytes: int) -> int:
        groups = [self._metadata.row_group(at) for at in range(self._metadata.num_row_groups)]
        total: int = sum(group.total_byte_size for group in groups)
        return max(1, size_bytes * max(self.rows, 1) // max(total, 1))

    def batches(
        self, names: Sequence[str] | None, first_row: int
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        at = 0
        columns = None if names is None else list(names)
        for group in range(self._metadata.num_row_groups):
            rows = self._metadata.row_group(group).num_rows
            if at + rows <= first_row:
                at += rows
                continue
            for batch in self._file.iter_batches(
                self._rows_at_once, row_groups=[group], columns=columns, use_threads=False
            ):
                skipped = min(max(first_row - at, 0), batch.num_rows)
                if skipped < batch.num_rows:
                    yield at + skipped, batch.slice(skipped)
                at += batch.num_rows
