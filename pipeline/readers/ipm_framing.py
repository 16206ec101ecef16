"""Variable-length records (VBS) of Mastercard files, with 1014-byte blocks or without.

A record stands behind its length, four bytes big-endian; a length of zero ends the file. Blocked,
each 1,012 bytes are followed by two of 0x40, and the last block is filled up with those.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.errors import PermanentError
from pipeline.readers.fixed_framing import read_up_to
from pipeline.readers.framing import MAX_RECORDS, ByteSource, SeekableSource

BLOCK_BYTES_1014 = 1014
DATA_BYTES = 1012  # of a block
LENGTH_BYTES = 4
MAX_MESSAGE_BYTES = 65_535  # real ones stay below 6,000; a longer one is no message

_FILL = b"\x40\x40"
_FILLING = b"\x40\0"
_LENGTH = struct.Struct(">I")


class Unblocked:
    """The data of 1014-byte blocks."""

    def __init__(self, stream: SeekableSource) -> None:
        self._stream = stream
        self._skip_bytes = 0
        self._blocks = 0

    def seek(self, offset_bytes: int, /) -> int:
        """Goes on at that offset of the data."""
        self._blocks, self._skip_bytes = divmod(offset_bytes, DATA_BYTES)
        self._stream.seek(self._blocks * BLOCK_BYTES_1014)
        return offset_bytes

    def read(self, size: int = -1, /) -> bytes:
        """The data of about `size` bytes of blocks; none at the end.

        Raises `PermanentError` `malformed_file` when a block does not end as blocks do.
        """
        blocks = max(size // BLOCK_BYTES_1014, 1)
        raw = read_up_to(self._stream, blocks * BLOCK_BYTES_1014)
        self._check(raw)
        data = b"".join([raw[at : at + DATA_BYTES] for at in range(0, len(raw), BLOCK_BYTES_1014)])
        self._blocks += blocks
        skip, self._skip_bytes = self._skip_bytes, 0
        return data[skip:]

    def _check(self, raw: bytes) -> None:
        whole = len(raw) // BLOCK_BYTES_1014
        for at, byte in enumerate(_FILL):
            ends = raw[DATA_BYTES + at :: BLOCK_BYTES_1014][:whole]
            if ends != bytes([byte]) * whole:
                raise PermanentError(
                    "malformed_file",
                    "not in blocks of 1,014 bytes: set format.blocked = false if it is not blocked",
                )


@dataclass(frozen=True, slots=True)
class Messages:
    """Consecutive records, and how many bytes of the file they are, lengths included."""

    records: Sequence[bytes] = field(repr=False)
    size_bytes: int


def messages(
    stream: ByteSource, block_bytes: int, offset_bytes: int, *, is_part: bool
) -> Iterator[Messages]:
    """The records from `offset_bytes` on, block by block.

    A part of a file may end behind any record, a whole one only with the length zero. Raises
    `PermanentError`: `empty_file`, `truncated_file`, `data_after_end` when something follows the
    end (files that were put together), `malformed_file` with the offset of what is no length.
    """
    rest, is_empty = b"", not offset_bytes
    while fresh := stream.read(block_bytes):
        rest, is_empty, is_cut = rest + fresh, False, True
        while is_cut:
            records, end, is_over = _split(rest, offset_bytes)
            is_cut = len(records) == MAX_RECORDS
            offset_bytes += end
            if records:
                yield Messages(records, end)
            rest = rest[end:]
            if is_over:
                _refuse_more(rest[LENGTH_BYTES:], stream, block_bytes)
                return
    if is_empty:
        raise PermanentError("empty_file", "the file holds no bytes")
    if rest or not is_part:
        raise PermanentError(
            "truncated_file", f"it breaks off in or behind the record at byte {offset_bytes}"
        )


def _split(data: bytes, offset_bytes: int) -> tuple[list[bytes], int, bool]:
    """The complete records, `MAX_RECORDS` at most; where they end; whether the file ends there."""
    records: list[bytes] = []
    at, size = 0, len(data)
    while at + LENGTH_BYTES <= size and len(records) < MAX_RECORDS:
        (length,) = _LENGTH.unpack_from(data, at)
        if not length:
            return records, at, True
        if length > MAX_MESSAGE_BYTES:
            raise PermanentError(
                "malformed_file",
                f"no length of a record at byte {offset_bytes + at}: is format.blocked right?",
            )
        end = at + LENGTH_BYTES + length
        if end > size:
            break
        records.append(data[at + LENGTH_BYTES : end])
        at = end
    return records, at, False


def _refuse_more(rest: bytes, stream: ByteSource, block_bytes: int) -> None:
    """Filling may follow the end, nothing else."""
    while True:
        if rest.strip(_FILLING):
            raise PermanentError("data_after_end", "another file follows the end of this one")
        rest = stream.read(block_bytes)
        if not rest:
            return
