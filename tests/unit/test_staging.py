"""What a chunk stages: parts of a bounded size, and nothing where there are no rows."""

from __future__ import annotations

import io
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import staging
from pipeline.core.parts import PartWriter
from pipeline.model import Chunk, SourceObject
from pipeline.readers.hashing import HashingWriter
from pipeline.staging import StagedParts
from pipeline.testing import A_MOMENT, MemoryLayouts, MemoryWorld

SOURCE = SourceObject("quarantine", "incoming/x/a.csv", "v1", 1, A_MOMENT)
CHUNK = Chunk("job_x", "attempt", SOURCE, "x")
ROWS = pa.table({"token": ["tok_a", "tok_b", "tok_c"]})


def staged_rows(*tables: pa.Table) -> list[int]:
    """How many rows each part has, by what is said of it and by what is in it."""
    world = MemoryWorld(os.urandom, MemoryLayouts())
    with StagedParts(CHUNK, world.ports()) as parts:
        for table in tables:
            parts.write(table)
        parts.finish()
    read = []
    for part in parts.staged:
        with world.tokenized.open_staged(part.uri) as stream:
            read.append(pq.read_table(io.BytesIO(stream.read())).num_rows)
    assert read == [part.rows for part in parts.staged]
    return read


def bytes_after_one_write() -> int:
    sink = HashingWriter(io.BytesIO())
    writer = PartWriter(sink, ROWS)
    writer.write(ROWS)
    size_bytes = sink.size_bytes
    writer.finish()
    return size_bytes


def test_a_part_is_closed_once_it_is_larger_than_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit = bytes_after_one_write()
    monkeypatch.setattr(staging, "MAX_PART_BYTES", limit)
    assert staged_rows(ROWS, ROWS, ROWS) == [6, 3]
    monkeypatch.setattr(staging, "MAX_PART_BYTES", limit - 1)
    assert staged_rows(ROWS, ROWS, ROWS) == [3, 3, 3]


def test_a_part_takes_many_record_batches_before_it_is_closed() -> None:
    assert staging.MAX_PART_BYTES == 64 * 1024 * 1024
    assert staged_rows(*[ROWS] * 10) == [30]


def test_without_rows_there_is_no_part() -> None:
    assert staged_rows() == []
    assert staged_rows(ROWS[:0], ROWS[:0]) == []
