"""An Avro object container file, its blocks unpacked within bounds.

Source: Apache Avro 1.12 specification, "Object Container Files".
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pipeline.errors import PermanentError
from pipeline.readers.decompression import Decompressed, corrupt, too_far
from pipeline.readers.framing import SeekableSource

MAX_BLOCK_BYTES = 64 * 1024 * 1024  # packed or not; writers make them of 16 KiB to 16 MiB
MAX_HEADER_BYTES = 4 * 1024 * 1024
MAGIC = b"Obj\x01"
SYNC_BYTES = 16
_LONG_BYTES = 10  # 64 bits, seven in a byte


class AvroBlocks:
    """Reads like the same file without compression: the header, then block after block.

    Blocks that end at or before `first_row` (from 0) are left out; `skipped_rows` says how many
    rows those had. Raises `PermanentError`: `malformed_file`, `corrupt_archive`,
    `expands_too_far`.
    """

    def __init__(self, stream: SeekableSource, first_row: int) -> None:
        self._stream = stream
        self._first_row = first_row
        self.skipped_rows = 0
        self._position = 0
        metadata = self._read_header()
        self._codec = metadata.get(b"avro.codec", b"null").decode("ascii", "replace")
        self.schema: Any = _schema_of(metadata)
        plain = {b"avro.schema": metadata.get(b"avro.schema", b""), b"avro.codec": b"null"}
        self._ahead = MAGIC + _map(plain) + self._sync

    def _read_header(self) -> Mapping[bytes, bytes]:
        if self._exactly(len(MAGIC)) != MAGIC:
            raise _malformed()
        metadata: dict[bytes, bytes] = {}
        size_bytes = 0
        while count := self._long():
            if count < 0:
                count = -count
                self._long()
            for _ in range(count):
                name, value = self._header_bytes(), self._header_bytes()
                metadata[name] = value
                size_bytes += len(name) + len(value) + 1
                if size_bytes > MAX_HEADER_BYTES:
                    raise _malformed()
        self._sync = self._exactly(SYNC_BYTES)
        return metadata

    def _header_bytes(self) -> bytes:
        size = self._long()
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise _malformed()
        return self._exactly(size)

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, fewer only at the end."""
        while len(self._ahead) < size and (block := self._block()):
            self._ahead += block
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        self._position += len(data)
        return data

    def tell(self) -> int:
        """How many bytes were read."""
        return self._position

    def _block(self) -> bytes:
        while first := self._stream.read(1):
            rows, size = self._long(first), self._long()
            if min(rows, size) < 0:
                raise _malformed()
            if size > MAX_BLOCK_BYTES:
                raise too_far(MAX_BLOCK_BYTES)
            packed = self._exactly(size)
            if self._exactly(SYNC_BYTES) != self._sync:
                raise _malformed()
            if self.skipped_rows + rows <= self._first_row:
                self.skipped_rows += rows
                continue
            self._first_row = 0
            data = self._unpacked(packed)
            if rows > len(data):  # a record of a named column takes a byte or more
                raise _malformed()
            return _long_bytes(rows) + _long_bytes(len(data)) + data + self._sync
        return b""

    def _unpacked(self, packed: bytes) -> bytes:
        match self._codec:
            case "null":
                return packed
            case "snappy":
                return _unsnapped(packed[:-4])  # a checksum follows
            case "deflate":
                return _inflated(packed)
            case "bzip2" | "xz":
                return _all_of(packed, self._codec)
            case "zstandard":
                return _all_of(packed, "zstd")
            case _:
                raise PermanentError("unsupported_format", "an Avro codec that nobody else uses")

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            fresh = self._stream.read(size - len(data))
            if not fresh:
                raise _malformed()
            data += fresh
        return data

    def _long(self, first: bytes = b"") -> int:
        """A variable-length zig-zag integer."""
        value = 0
        for place in range(_LONG_BYTES):
            byte = (first if first and not place else self._exactly(1))[0]
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
        raise _malformed()


def _malformed() -> PermanentError:
    return PermanentError("malformed_file", "the file is no Avro file, or is damaged")


def _schema_of(metadata: Mapping[bytes, bytes]) -> Any:
    try:
        return json.loads(metadata[b"avro.schema"])
    except (KeyError, ValueError, RecursionError):
        raise _malformed() from None


def _all_of(packed: bytes, kind: str) -> bytes:
    return Decompressed(io.BytesIO(packed), kind, MAX_BLOCK_BYTES).read()


def _inflated(packed: bytes) -> bytes:
    """Some writers leave bytes of a checksum behind the data, which the specification has not."""
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflating.decompress(packed, MAX_BLOCK_BYTES + 1)
    except zlib.error:
        raise corrupt("deflate") from None
    if len(data) > MAX_BLOCK_BYTES:
        raise too_far(MAX_BLOCK_BYTES)
    if not inflating.eof:
        raise corrupt("deflate")
    return data


def _unsnapped(packed: bytes) -> bytes:
    """Snappy says first how much it comes to (format description, 1)."""
    size = 0
    for place, byte in enumerate(packed[:5]):
        size |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            break
    if size > MAX_BLOCK_BYTES:
        raise too_far(MAX_BLOCK_BYTES)
    data: bytes = pa.decompress(packed, size, "snappy", asbytes=True)
    return data


def _long_bytes(value: int) -> bytes:
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _map(members: Mapping[bytes, bytes]) -> bytes:
    body = b"".join(_long_bytes(len(each)) + each for pair in members.items() for each in pair)
    return _long_bytes(len(members)) + body + _long_bytes(0)
