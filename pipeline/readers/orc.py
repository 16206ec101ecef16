"""Apache ORC, a stripe at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa

from pipeline.core.layouts import Layout
from pipeline.errors import PantokError
from pipeline.model import START, Position
from pipeline.readers.arrow_text import flattened_names
from pipeline.readers.foreign import damage_as_errors, library
from pipeline.readers.framing import SeekableSource
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.streams import seekable_file
from pipeline.readers.typed import read_typed

ROWS_AT_ONCE = 20_000


def read_orc(
    stream: SeekableSource,
    layout: Layout,
    start: Position = START,
    end_bytes: int | None = None,
    *,
    max_rows: int = ROWS_AT_ONCE,
) -> Iterator[TextRecordBatch]:
    """The rows of an ORC file, of which a stripe's named columns are in memory at a time.

    Positions count rows. Raises `PermanentError`: `malformed_file`, `too_large_for_memory`, and
    what `read_typed` raises.
    """
    source = seekable_file(stream)
    with damage_as_errors("ORC"):
        file = _OrcFile(source, max_rows)
    return read_typed(file, layout, start.offset_bytes, end_bytes)


class _OrcFile:
    format_name = "ORC"

    def __init__(self, source: BinaryIO, max_rows: int) -> None:
        self._source = _Remembering(source)
        with self._source.trouble_first():
            self._file = library("pyarrow.orc").ORCFile(pa.PythonFile(self._source, "r"))
        self._max_rows = max_rows
        self.names: Sequence[str] = flattened_names(self._file.schema)
        self.rows: int = self._file.nrows

    def batches(
        self, names: Sequence[str] | None, first_row: int
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        at = 0
        columns = None if names is None else list(names)
        for ordinal in range(self._file.nstripes):
            with self._source.trouble_first():
                stripe = self._file.read_stripe(ordinal, columns=columns)
            for begin in range(0, stripe.num_rows, self._max_rows):
                piece = stripe.slice(begin, self._max_rows)
                skipped = min(max(first_row - at, 0), piece.num_rows)
                if skipped < piece.num_rows:
                    yield at + skipped, piece.slice(skipped)
                at += piece.num_rows


class _Remembering(io.RawIOBase):
    """A file that remembers why it could not be read; ORC's library forgets."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._trouble: PantokError | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._file.read(size)
        except PantokError as error:
            self._trouble = error
            raise

    @contextmanager
    def trouble_first(self) -> Iterator[None]:
        """Raises what went wrong with the file, rather than what the library made of it."""
        try:
            yield
        except Exception:
            if self._trouble is not None:
                raise self._trouble from None
            raise
