"""What stands in a Parquet file, where pages are compressed and hide it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress

from pipeline.core.arrow import pa, pq

PARQUET = b"PAR1"  # how such a file begins and ends


def parquet_views(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Values, statistics, schema and footer metadata, by the part where they stand.

    Of a damaged file, as much as can be read.
    """
    with suppress(pa.ArrowException, OSError, ValueError):
        metadata = pq.ParquetFile(io.BytesIO(content)).metadata
        if not _is_consistent(metadata):
            return
        texts = _paths_of(metadata.schema, "BYTE_ARRAY")
        file = pq.ParquetFile(io.BytesIO(content), read_dictionary=texts)
        schema = file.schema_arrow
        yield "Parquet schema", f"{file.schema}{schema.metadata}{metadata.metadata}".encode()
        yield "Parquet statistics", "\n".join(_statistics(metadata)).encode("utf-8", "replace")
        for batch in file.iter_batches():
            for at, column in enumerate(batch.columns, start=1):
                for leaf in _leaves(column):
                    yield f"Parquet column {at}", _as_lines(leaf)


def _paths_of(schema: pq.ParquetSchema, physical_type: str) -> list[str]:
    columns = [schema.column(at) for at in range(len(schema))]
    return [column.path for column in columns if column.physical_type == physical_type]


def _is_consistent(metadata: pq.FileMetaData) -> bool:
    """Whether columns are stored as the schema says: Arrow ends the process where they are not."""
    return all(
        metadata.row_group(group).column(at).physical_type
        == metadata.schema.column(at).physical_type
        for group in range(metadata.num_row_groups)
        for at in range(metadata.num_columns)
    )


def _statistics(metadata: pq.FileMetaData) -> Iterator[str]:
    for group in range(metadata.num_row_groups):
        for at in range(metadata.num_columns):
            statistics = metadata.row_group(group).column(at).statistics
            if statistics is not None and statistics.has_min_max:
                yield f"{statistics.min}\n{statistics.max}"


def _leaves(column: pa.Array) -> Iterator[pa.Array]:
    """The arrays that a column is made of; of a dictionary, all entries, used or not."""
    if pa.types.is_dictionary(column.type):
        yield column.dictionary
    elif pa.types.is_map(column.type):
        yield from (leaf for part in (column.keys, column.items) for leaf in _leaves(part))
    elif pa.types.is_nested(column.type) and hasattr(column, "values"):
        yield from _leaves(column.values)
    elif pa.types.is_struct(column.type):
        fields = range(column.type.num_fields)
        yield from (leaf for at in fields for leaf in _leaves(column.field(at)))
    else:
        yield column


def _as_lines(column: pa.Array) -> bytes:
    try:
        cells = column.cast(pa.string()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        cells = [str(cell) for cell in column.to_pylist()]
    return "\n".join(cell for cell in cells if cell is not None).encode("utf-8", "replace")
