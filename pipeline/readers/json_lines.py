"""JSON Lines: an object on each line."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError
from pipeline.model import START, Position
from pipeline.readers.framing import (
    BLOCK_BYTES,
    ByteSource,
    Limited,
    LineGrammar,
    SeekableSource,
    Utf8Stream,
    blocks_of_records,
)
from pipeline.readers.json_values import record_of
from pipeline.readers.numbers import MAX_JSON_INTEGER
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.structured import StructuredRecords


def read_json_lines(
    stream: SeekableSource,
    layout: Layout,
    start: Position = START,
    end_bytes: int | None = None,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[TextRecordBatch]:
    """The objects of a file, block by block, in memory bounded by `block_bytes`.

    Blank lines are no records. Raises `PermanentError`: `empty_file`, `no_rows`,
    `record_too_long`, `encoding_mismatch`, `missing_column` when the first records have no column
    of PANs.
    """
    text = Utf8Stream(stream, "utf-8")
    if start.offset_bytes:
        text.go_to(start.offset_bytes)
    rest: ByteSource = text
    if end_bytes is not None:
        rest = Limited(text, end_bytes - start.offset_bytes)
    records = StructuredRecords(layout, MAX_JSON_INTEGER)
    offset_bytes, rows = start.offset_bytes, start.rows
    for block in blocks_of_records(rest, LineGrammar(), block_bytes):
        offset_bytes += len(block)
        lines = [line for line in block.splitlines() if line.strip()]
        if not lines:
            continue
        found = [record_of(line.decode("utf-8", "surrogateescape")) for line in lines]
        end = Position(offset_bytes, rows + len(found))
        yield records.batch(found, rows + 1, end)
        rows += len(found)
    if end_bytes is None:
        _refuse_nothing(offset_bytes, rows)


def _refuse_nothing(offset_bytes: int, rows: int) -> None:
    if not offset_bytes:
        raise PermanentError("empty_file", "the file holds no bytes")
    if not rows:
        raise PermanentError("no_rows", "the file holds no data records")
