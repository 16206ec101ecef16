"""A stream that remembers what went through it."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO

from pipeline.readers.framing import SeekableSource
from pipeline.readers.streams import LookAhead


class HashingReader(LookAhead):
    """Reads through, adding up SHA-256; `peek` looks ahead without consuming."""

    def __init__(self, stream: SeekableSource, size_bytes: int | None = None) -> None:
        super().__init__(stream, size_bytes)
        self._digest = hashlib.sha256()
        self._has_jumped = False
        self._has_ended = False

    def _fetch(self, size: int) -> bytes:
        data = super()._fetch(size)
        self._digest.update(data)
        self._has_ended = self._has_ended or size < 0 or (not data and size > 0)
        return data

    def seek(self, offset_bytes: int, /) -> int:
        """Goes on elsewhere in the file."""
        self._has_jumped = True
        return super().seek(offset_bytes)

    @property
    def sha256(self) -> str | None:
        """The hexadecimal SHA-256 of the whole file; None if not all of it was fetched in turn."""
        is_whole = self._has_ended and not self._has_jumped
        return self._digest.hexdigest() if is_whole else None


class HashingWriter(io.RawIOBase):
    """Writes through, adding up size and SHA-256."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, data: object, /) -> int:
        """Writes all of the data."""
        view = bytes(memoryview(data))  # type: ignore[arg-type]
        self._stream.write(view)
        self._digest.update(view)
        self.size_bytes += len(view)
        return len(view)

    def tell(self) -> int:
        """How many bytes were written."""
        return self.size_bytes

    @property
    def sha256(self) -> str:
        """The hexadecimal SHA-256 of all bytes written so far."""
        return self._digest.hexdigest()
