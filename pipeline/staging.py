"""What a chunk writes while nobody can see it yet."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO, Self

import pyarrow as pa

from pipeline.core.parts import MAX_PART_BYTES, PartWriter
from pipeline.model import Chunk, StagedObject
from pipeline.ports import Ports, Quarantine
from pipeline.readers.hashing import HashingWriter


@dataclass(slots=True)
class StagedParts:
    """The parts of a chunk, one open at a time; an exception leaves none of them behind."""

    _chunk: Chunk
    _ports: Ports
    staged: list[StagedObject] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)
    _sink: HashingWriter | None = None
    _writer: PartWriter | None = None

    def __enter__(self) -> Self:
        return self

    def write(self, table: pa.Table) -> None:
        """Appends rows; opens a part for the first ones and closes one that has grown large."""
        if table.num_rows == 0:
            return
        if self._writer is None or self._sink is None:
            self._sink = HashingWriter(self._stack.enter_context(self._open()))
            self._writer = PartWriter(self._sink, table)
            self._stack.callback(self._writer.finish)  # before the sink, so it is not left open
        self._writer.write(table)
        if self._sink.size_bytes > MAX_PART_BYTES:
            self.finish()

    def finish(self) -> None:
        """Completes the open part."""
        if self._writer is None or self._sink is None:
            return
        self._stack.close()
        uri = self._ports.tokenized.staged_uri(
            self._chunk.job_id, self._chunk.attempt_id, len(self.staged)
        )
        self.staged.append(StagedObject(uri, self._writer.rows, self._sink.sha256))
        self._writer = self._sink = None

    def _open(self) -> AbstractContextManager[BinaryIO]:
        return self._ports.tokenized.stage(
            self._chunk.job_id, self._chunk.attempt_id, len(self.staged)
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)
        if kind is not None and self.staged:
            self._ports.tokenized.discard_staged([part.uri for part in self.staged])


def rejected_lines(quarantine: Quarantine, uris: Sequence[str]) -> Iterator[bytes]:
    """The lines of rejects files, one file after the other.

    Raises `PermanentError` `source_missing` when one is gone: rejected rows are not kept for ever.
    """
    for uri in uris:
        with quarantine.open_rejected(uri) as raw, gzip.GzipFile(fileobj=raw, mode="rb") as lines:
            yield from lines


@dataclass(slots=True)
class RejectsFile:
    """The rejected rows of a chunk, gzipped; there is no such file when there are no such rows."""

    _chunk: Chunk
    _ports: Ports
    _stack: ExitStack = field(default_factory=ExitStack)
    _sink: gzip.GzipFile | None = None

    def __enter__(self) -> Self:
        return self

    @property
    def is_open(self) -> bool:
        """Whether a row was rejected."""
        return self._sink is not None

    def write(self, line: bytes) -> None:
        """Appends a rejected row."""
        if self._sink is None:
            raw = self._stack.enter_context(
                self._ports.quarantine.open_rejects(self._chunk.job_id, self._chunk.attempt_id)
            )
            self._sink = self._stack.enter_context(gzip.GzipFile(fileobj=raw, mode="wb", mtime=0))
        self._sink.write(line)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)
