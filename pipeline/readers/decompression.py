"""Compressed streams, unpacked piece by piece in bounded memory and up to a limit."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import pyarrow as pa

from pipeline.errors import PermanentError
from pipeline.readers.framing import ByteSource, SeekableSource
from pipeline.readers.streams import PIECE_BYTES

MAX_XZ_BYTES = 128 * 1024 * 1024  # of memory; `xz -9` takes 65 MiB to unpack
PACKED_PIECE_BYTES = 64 * 1024


class _Decompressor(Protocol):
    """What `bz2` and `lzma` have in common: one stream, unpacked step by step."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _GzipMember:
    """One member of a gzip file, checksum included (RFC 1952)."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


_DECOMPRESSORS: Mapping[str, Callable[[], _Decompressor]] = {
    "gzip": _GzipMember,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_BYTES),
}


class Decompressed:
    """What a compressed stream holds: all of it, one packed stream behind the other.

    `limit_bytes` is how much it may come to. Raises `PermanentError`: `corrupt_archive` for one
    that is cut short, damaged or followed by something else, `expands_too_far` beyond the limit.
    """

    def __init__(self, packed: SeekableSource, kind: str, limit_bytes: int) -> None:
        self._packed = packed
        self._kind = kind
        self._limit_bytes = limit_bytes
        self._restart()

    def _restart(self) -> None:
        self._position = 0
        is_zstd = self._kind == "zstd"
        self._unpacking = (
            _zstd_pieces(self._packed)
            if is_zstd
            else _pieces(self._packed, _DECOMPRESSORS[self._kind])
        )
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, fewer only at the end; all that is left when negative."""
        pieces: list[bytes] = []
        missing = size
        while missing and (piece := self._piece()):
            if 0 <= missing < len(piece):
                piece, self._rest = piece[:missing], piece[missing:]
            pieces.append(piece)
            missing -= len(piece) if size >= 0 else 0
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._position += len(data)
        return data

    def _piece(self) -> bytes:
        if self._rest:
            piece, self._rest = self._rest, b""
            return piece
        with _damage_as_errors(self._kind):
            piece = next(self._unpacking, b"")
        if self._position + len(piece) > self._limit_bytes:
            raise too_far(self._limit_bytes)
        return piece

    def seek(self, offset_bytes: int, /) -> int:
        """Goes on at that offset of what is unpacked, which is unpacked anew up to there."""
        if offset_bytes < self._position:
            self._packed.seek(0)
            self._restart()
        while self._position < offset_bytes:
            if not self.read(min(offset_bytes - self._position, PIECE_BYTES)):
                break
        return self._position


def too_far(limit_bytes: int) -> PermanentError:
    """The error for what unpacks to more than it may."""
    return PermanentError("expands_too_far", f"it unpacks to more than {limit_bytes} bytes")


def corrupt(kind: str) -> PermanentError:
    """The error for an archive that cannot be unpacked to its end."""
    return PermanentError("corrupt_archive", f"the {kind} data is cut short or damaged")


@contextmanager
def _damage_as_errors(kind: str) -> Iterator[None]:
    try:
        yield
    except (zlib.error, lzma.LZMAError, EOFError, OSError):
        raise corrupt(kind) from None


def _pieces(packed: ByteSource, new: Callable[[], _Decompressor]) -> Iterator[bytes]:
    data = packed.read(PACKED_PIECE_BYTES)
    while data:
        decompressor = new()
        while not decompressor.eof:
            piece = decompressor.decompress(data, PIECE_BYTES)
            data = b""
            if piece:
                yield piece
            elif not decompressor.eof and decompressor.needs_input:
                data = packed.read(PACKED_PIECE_BYTES)
                if not data:
                    raise EOFError
        data = _behind_padding(decompressor.unused_data, packed)


def _behind_padding(data: bytes, packed: ByteSource) -> bytes:
    """What follows a packed stream; tapes and `xz` fill up with zeros."""
    while not (rest := data.lstrip(b"\0")):
        data = packed.read(PACKED_PIECE_BYTES)
        if not data:
            break
    return rest


def _zstd_pieces(packed: ByteSource) -> Iterator[bytes]:
    with pa.CompressedInputStream(pa.PythonFile(_AsFile(packed), "r"), "zstd") as unpacked:
        while piece := unpacked.read(PIECE_BYTES):
            yield piece


class _AsFile(io.RawIOBase):
    """A stream in the shape that Arrow takes."""

    def __init__(self, stream: ByteSource) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._stream.read(size)
