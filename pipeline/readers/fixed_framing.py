"""Blocks of records of one length, from lines or from records that nothing separates."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.core.codepages import is_ebcdic
from pipeline.errors import PermanentError
from pipeline.readers.cells import RecordCodec, fixed_size
from pipeline.readers.framing import (
    MAX_RECORDS,
    ByteSource,
    Grammar,
    LineGrammar,
    blocks_of_records,
)
from pipeline.readers.undecodable import MARK

FILLING = b"\0\x1a \x40\r\n"  # what may follow the last record: fill bytes and an end-of-file mark
MAX_PADDED_BYTES = 64 * 1024 * 1024  # of a block
MAX_UNIT_BYTES = 4  # of a position: UTF-32
_END_OF_FILE = b"\x1a"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_TEXT_LINE_END = re.compile("\r\n|\n|\r")
_EBCDIC_LINE_END = re.compile(rb"\r?[\x15\x25]|\r")  # NEL and LF


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Consecutive records of a file, `size_bytes` of it, all padded to the same length.

    `lengths` are those that they had, in positions, where they were lines.
    """

    records: pa.FixedSizeBinaryArray = field(repr=False)
    codec: RecordCodec
    size_bytes: int
    lengths: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.records)


class EbcdicLineGrammar:
    """Records are lines that end in NEL or LF, as EBCDIC writes them."""

    def last_record_end(self, block: bytes) -> int:
        """Behind the last line end."""
        return max(block.rfind(b"\x15"), block.rfind(b"\x25")) + 1

    def most_records(self, block: bytes) -> int:
        """As many as line ends, carriage returns too, and one without."""
        return sum(map(block.count, (b"\x15", b"\x25", b"\r"))) + 1


def blocks_of_length(
    stream: ByteSource, record_bytes: int, codec: RecordCodec, block_bytes: int
) -> Iterator[RecordBlock]:
    """Records that nothing separates.

    Raises `PermanentError` `truncated_file` when the last one is not whole, unless what is left is
    filling.
    """
    whole = min(max(block_bytes // record_bytes, 1), MAX_RECORDS) * record_bytes
    while block := read_up_to(stream, whole):
        yield block_of_length(block, record_bytes, codec)


def most_padded(width: int) -> int:
    """How many records of so many positions a block may hold: short ones are filled up."""
    return max(1, min(MAX_RECORDS, MAX_PADDED_BYTES // (width * MAX_UNIT_BYTES)))


def blocks_of_lines(
    stream: ByteSource, encoding: str, width: int, block_bytes: int
) -> Iterator[RecordBlock]:
    """Lines, padded with spaces or cut to `width` positions; blank lines are no records.

    Raises `PermanentError` `record_too_long`.
    """
    grammar: Grammar = EbcdicLineGrammar() if is_ebcdic(encoding) else LineGrammar()
    for block in blocks_of_records(stream, grammar, block_bytes, most_padded(width)):
        yield block_of_lines(block, encoding, width)


def block_of_lines(block: bytes, encoding: str, width: int) -> RecordBlock:
    """Whole lines, padded with spaces or cut to `width` positions; without blank ones."""
    if encoding == "utf-8" and not block.isascii():
        return _wide_lines(block, width)
    codec = RecordCodec(encoding)
    pieces = _EBCDIC_LINE_END.split(block) if is_ebcdic(encoding) else block.splitlines()
    lines = [line for line in pieces if line and line != _END_OF_FILE]
    blank = codec.blank
    content = b"".join([line[:width].ljust(width, blank) for line in lines])
    return RecordBlock(fixed_size(content, width), codec, len(block), [*map(len, lines)])


def block_of_length(block: bytes, record_bytes: int, codec: RecordCodec) -> RecordBlock:
    """Whole records that nothing separates, and filling behind them.

    Raises `PermanentError` `truncated_file` when the last one is not whole.
    """
    end = len(block) // record_bytes * record_bytes
    if block[end:].strip(FILLING):
        raise PermanentError(
            "truncated_file", f"the last record has {len(block) - end} of {record_bytes} bytes"
        )
    return RecordBlock(fixed_size(block[:end], record_bytes), codec, len(block))


def _wide_lines(block: bytes, width: int) -> RecordBlock:
    codec = RecordCodec("utf-8", is_wide=True)
    lines = [line for line in _TEXT_LINE_END.split(block.decode("utf-8", MARK)) if line]
    content = "".join([line[:width].ljust(width) for line in lines])
    records = fixed_size(codec.encoded(content), width * codec.unit_bytes)
    return RecordBlock(records, codec, len(block), [*map(len, lines)])


def begins_with_line(beginning: bytes, record_bytes: int, encoding: str) -> bool:
    """Whether a line end stands behind the first record, or before where that would end."""
    line_end = _EBCDIC_LINE_END if is_ebcdic(encoding) else _LINE_END
    return line_end.search(beginning[: record_bytes + 1]) is not None


class Rewound:
    """A stream whose first bytes were read already, less a UTF-8 byte order mark."""

    def __init__(self, beginning: bytes, stream: ByteSource, encoding: str) -> None:
        text = beginning.removeprefix(codecs.BOM_UTF8) if encoding == "utf-8" else beginning
        self.mark_bytes = len(beginning) - len(text)
        self._ahead = text
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""
        if self._ahead:
            ahead, self._ahead = self._ahead[:size], self._ahead[size:]
            return ahead
        return self._stream.read(size)


def read_up_to(stream: ByteSource, size: int) -> bytes:
    """The next `size` bytes, fewer only at the end."""
    pieces: list[bytes] = []
    while size and (fresh := stream.read(size)):
        pieces.append(fresh)
        size -= len(fresh)
    return b"".join(pieces)
