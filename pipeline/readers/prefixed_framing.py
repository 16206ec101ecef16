"""Records of variable length, each behind its length (IBM RECFM=V, record descriptor words)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.errors import PermanentError
from pipeline.readers.cells import RecordCodec, fixed_size
from pipeline.readers.fixed_framing import FILLING, RecordBlock, most_padded
from pipeline.readers.framing import ByteSource

PREFIX_BYTES = 4  # the length, these bytes included, and two zeros: z/OS DFSMS Using Data Sets
_LENGTH_BYTES = 2


@dataclass(slots=True)
class _Records:
    """The whole records at the beginning of some bytes, up to `end`; no record can follow them
    there if `is_last`.
    """

    records: list[bytes] = field(default_factory=list, repr=False)
    end: int = 0
    is_last: bool = False


def blocks_of_prefixed(
    stream: ByteSource, width: int, codec: RecordCodec, block_bytes: int, offset_bytes: int
) -> Iterator[RecordBlock]:
    """Records behind their lengths, padded with spaces or cut to `width` bytes.

    Raises `PermanentError`: `malformed_file` where there can be no length, `truncated_file` when
    the last record is not whole, unless what is left is filling.
    """
    most = most_padded(width)
    rest = b""
    while fresh := stream.read(block_bytes):
        rest += fresh
        found = _whole_records(rest, most)
        while found.end:
            yield _padded(found, width, codec)
            offset_bytes += found.end
            rest = rest[found.end :]
            found = _whole_records(rest, most)
        if found.is_last:
            _refuse_more_than_filling(rest, stream, block_bytes, offset_bytes)
            return
    if rest.strip(FILLING):
        size = int.from_bytes(rest[:_LENGTH_BYTES], "big")
        raise PermanentError("truncated_file", f"the last record has {len(rest)} of {size} bytes")


def _whole_records(content: bytes, most: int) -> _Records:
    found = _Records()
    while len(found.records) < most and found.end + PREFIX_BYTES <= len(content):
        at = found.end
        size = int.from_bytes(content[at : at + _LENGTH_BYTES], "big")
        if size < PREFIX_BYTES or any(content[at + _LENGTH_BYTES : at + PREFIX_BYTES]):
            found.is_last = True
            break
        if at + size > len(content):
            break
        found.records.append(content[at + PREFIX_BYTES : at + size])
        found.end = at + size
    return found


def _refuse_more_than_filling(
    rest: bytes, stream: ByteSource, block_bytes: int, offset_bytes: int
) -> None:
    while rest:
        if rest.strip(FILLING):
            raise PermanentError("malformed_file", f"no length of a record at byte {offset_bytes}")
        rest = stream.read(block_bytes)


def _padded(found: _Records, width: int, codec: RecordCodec) -> RecordBlock:
    filled = [record for record in found.records if record]
    content = b"".join([record[:width].ljust(width, codec.blank) for record in filled])
    return RecordBlock(fixed_size(content, width), codec, found.end, [*map(len, filled)])
