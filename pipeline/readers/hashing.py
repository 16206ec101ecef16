"""A stream that remembers what went through it."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO


class HashingReader:
    """Reads through, adding up SHA-256; `peek` looks ahead without consuming."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._ahead = b""
        self._digest = hashlib.sha256()
        self._has_jumped = False

    def peek(self, size: int) -> bytes:
        """The next bytes, at most `size`, fewer only at the end."""
        while len(self._ahead) < size:
            fresh = self._fetch(size - len(self._ahead))
            if not fresh:
                break
            self._ahead += fresh
        return self._ahead[:size]

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; all that is left when negative."""
        if size < 0:
            data, self._ahead = self._ahead + self._fetch(-1), b""
        elif len(self._ahead) >= size:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            data, self._ahead = self._ahead + self._fetch(size - len(self._ahead)), b""
        return data

    def _fetch(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._digest.update(data)
        return data

    def seek(self, offset_bytes: int, /) -> int:
        """Goes on elsewhere in the file."""
        self._ahead = b""
        self._has_jumped = True
        return self._stream.seek(offset_bytes)

    @property
    def sha256(self) -> str | None:
        """The hexadecimal SHA-256 of all bytes so far; None if not all of them were fetched."""
        return None if self._has_jumped else self._digest.hexdigest()


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
