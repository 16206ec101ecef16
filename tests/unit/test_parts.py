"""Parquet parts."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.columns import Column
from pipeline.core.parts import PartWriter
from pipeline.core.scrub import arrow_type
from pipeline.readers.hashing import HashingWriter

SCHEMA = pa.schema(
    [
        ("token", pa.string()),
        *(
            (kind, arrow_type(Column.model_validate({"role": "keep", "type": kind}).type))
            for kind in ("string", "integer", "decimal(38,10)", "date", "timestamp", "boolean")
        ),
    ]
)


def rows(count: int) -> pa.Table:
    tokens = [f"tok_{at}" for at in range(count)]
    empty = [pa.nulls(count, field.type) for field in list(SCHEMA)[1:]]
    return pa.table([tokens, *empty], schema=SCHEMA)


def test_what_is_written_is_read_back_with_its_types() -> None:
    sink = io.BytesIO()
    writer = PartWriter(sink, rows(3))
    for count in (3, 0, 2):
        writer.write(rows(count))
    writer.finish()
    assert writer.rows == 5
    table = pq.read_table(io.BytesIO(sink.getvalue()))
    assert table.column("token").to_pylist() == ["tok_0", "tok_1", "tok_2", "tok_0", "tok_1"]
    assert table.schema.names == SCHEMA.names
    assert [field.type for field in table.schema] == [field.type for field in SCHEMA]


def test_pages_are_compressed_with_zstd_and_the_schema_is_plain_parquet() -> None:
    sink = io.BytesIO()
    writer = PartWriter(sink, rows(3))
    writer.write(rows(3))
    writer.finish()
    metadata = pq.ParquetFile(io.BytesIO(sink.getvalue())).metadata
    for at in range(metadata.num_columns):
        assert metadata.row_group(0).column(at).compression == "ZSTD"
    assert not metadata.metadata


def test_a_part_that_was_not_finished_cannot_be_read() -> None:
    sink = io.BytesIO()
    writer = PartWriter(sink, rows(3))
    writer.write(rows(3))
    with pytest.raises(pa.ArrowInvalid):
        pq.read_table(io.BytesIO(sink.getvalue()))
    writer.finish()


def test_a_part_can_be_written_to_a_stream_that_only_writes() -> None:
    sink = io.BytesIO()
    hashing = HashingWriter(sink)
    writer = PartWriter(hashing, rows(3))
    writer.write(rows(3))
    writer.finish()
    assert hashing.size_bytes == len(sink.getvalue())
    assert pq.read_table(io.BytesIO(sink.getvalue())).num_rows == 3
