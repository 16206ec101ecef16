"""The file of a chunk: opened, decrypted, unpacked and read by its layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from pipeline.bench import Bench
from pipeline.core.layouts import Layout
from pipeline.decryption import decrypted
from pipeline.model import Chunk, Position
from pipeline.readers.auto import SAMPLE_BYTES, auto_layout
from pipeline.readers.containers import BEGINNING_BYTES, container_kind
from pipeline.readers.hashing import HashingReader
from pipeline.readers.members import first_bytes, read_members
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.repairs import read_repairs
from pipeline.readers.streams import LookAhead
from pipeline.readers.unpacking import unpacked
from pipeline.staging import rejected_lines


@dataclass(frozen=True, slots=True)
class OpenedChunk:
    """A chunk's file, unpacked as it is read; `source` is the file as it was uploaded.

    `batches` reads it by its layout, or by one that names fewer columns. `is_packed` says that it
    can only be read from its beginning.
    """

    source: HashingReader
    layout: Layout
    batches: Callable[[Layout], Iterator[TextRecordBatch]]
    is_packed: bool = False


@contextmanager
def opened(chunk: Chunk, layout: Layout | None, bench: Bench) -> Iterator[OpenedChunk]:
    """The file of a chunk; without a layout, it is read by one that finds its PANs."""
    quarantine = bench.ports.quarantine
    with quarantine.open(chunk.source) as stream:
        source = HashingReader(stream, chunk.source.size_bytes)
        if layout is not None and chunk.rejects_to_repair:
            rejected = rejected_lines(quarantine, chunk.rejects_to_repair)
            yield OpenedChunk(source, layout, lambda known: read_repairs(source, known, rejected))
            return
        is_packed = container_kind(source.peek(BEGINNING_BYTES)) is not None
        members = _unpacked(source, chunk, layout, bench)
        known_layout = layout or auto_layout(first_bytes(members, SAMPLE_BYTES))
        end = None
        if chunk.end_bytes is not None:
            end = Position(chunk.end_bytes, member=chunk.end_member)
        yield OpenedChunk(
            source,
            known_layout,
            lambda known: read_members(members, known, chunk.start, end),
            is_packed,
        )


def _unpacked(
    source: HashingReader, chunk: Chunk, layout: Layout | None, bench: Bench
) -> Sequence[Callable[[], LookAhead]]:
    format_type = layout.format.type if layout else "delimited"
    decrypt = partial(decrypted, layout=layout, keys=bench.ports.decryption_keys)
    return unpacked(source, chunk.source.size_bytes, format_type, decrypt)
