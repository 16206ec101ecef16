"""Looking ahead in a stream, and reading one from any place."""

from __future__ import annotations

import io
from typing import BinaryIO

from pipeline.errors import PermanentError
from pipeline.readers.framing import SeekableSource

MAX_BYTES_IN_MEMORY = 64 * 1024 * 1024
"""What is read into memory as a whole, where a format must be read from any place.

A worker of 1,769 MB holds it beside what a reader makes of it. Of a larger upload pieces are
fetched; a larger file inside of an archive is refused, for nothing is ever unpacked to a disk.
"""
PIECE_BYTES = 1024 * 1024


class LookAhead:
    """Reads through; `peek` looks ahead without consuming.

    `size_bytes` is the stream's length where it is known, and reading from any place cheap.
    """

    def __init__(self, stream: SeekableSource, size_bytes: int | None = None) -> None:
        self._stream = stream
        self._ahead = b""
        self.size_bytes = size_bytes

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

    def seek(self, offset_bytes: int, /) -> int:
        """Goes on elsewhere in the file."""
        self._ahead = b""
        return self._stream.seek(offset_bytes)

    def _fetch(self, size: int) -> bytes:
        return self._stream.read(size)


def seekable_file(stream: SeekableSource) -> BinaryIO:
    """The stream, at its beginning, as a file that can be read from any place.

    Raises `PermanentError` `too_large_for_memory` when that would take more than
    `MAX_BYTES_IN_MEMORY`.
    """
    size_bytes = stream.size_bytes if isinstance(stream, LookAhead) else None
    if size_bytes is not None and size_bytes > MAX_BYTES_IN_MEMORY:
        return io.BufferedReader(_AnyPlace(stream, size_bytes), PIECE_BYTES)
    content = io.BytesIO()
    while piece := stream.read(PIECE_BYTES):
        content.write(piece)
        if content.tell() > MAX_BYTES_IN_MEMORY:
            raise PermanentError(
                "too_large_for_memory",
                f"a file of this format inside of an archive can have {MAX_BYTES_IN_MEMORY} bytes",
            )
    content.seek(0)
    return content


class _AnyPlace(io.RawIOBase):
    """A stream of known size, positioned only when what is read does not follow."""

    def __init__(self, stream: SeekableSource, size_bytes: int) -> None:
        self._stream = stream
        self._size_bytes = size_bytes
        self._position = 0
        self._stream_position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        if base + offset < 0:
            raise OSError("a place before the beginning")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        if self._position != self._stream_position:
            self._stream.seek(self._position)
        data = self._stream.read(len(view))
        view[: len(data)] = data
        self._position += len(data)
        self._stream_position = self._position
        return len(data)
