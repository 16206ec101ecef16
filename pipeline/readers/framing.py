"""Blocks of whole records, cut from a stream of bytes in bounded memory."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Protocol

from pipeline.errors import PermanentError

BLOCK_BYTES = 4 * 1024 * 1024
"""How much is read at once.

A record of this length, line end included, is accepted; one of twice that never is.
"""

MAX_RECORDS = 40_000
"""How many records are read at once: small ones weigh far more as rows than as bytes."""

_ONE_LINE_END = frozenset({b"", b"\n", b"\r\n", b"\r"})
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Grammar(Protocol):
    """What framing needs to know of a format: where records end."""

    def last_record_end(self, block: bytes) -> int:
        """The offset behind the last complete record of the block, 0 if there is none."""

    def most_records(self, block: bytes) -> int:
        """How many records the block has at most."""


class ByteSource(Protocol):
    """Anything that is read like a file."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""


class SeekableSource(ByteSource, Protocol):
    """A file that can be read from any place."""

    def seek(self, offset_bytes: int, /) -> int:
        """Goes on at that offset from the beginning."""


def blocks_of_records(
    stream: ByteSource,
    grammar: Grammar,
    block_bytes: int = BLOCK_BYTES,
    most_records: int | None = None,
) -> Iterator[bytes]:
    """Blocks that each hold whole records only; the last one may lack its final line end.

    They hold `most_records` at most, `MAX_RECORDS` if nothing is said.

    Raises `PermanentError` `record_too_long` when a record is longer than a block and not complete
    yet.
    """
    most = MAX_RECORDS if most_records is None else most_records
    rest = b""
    while fresh := stream.read(block_bytes):
        rest += fresh
        end = grammar.last_record_end(rest)
        if end:
            yield from _parts(rest[:end], grammar, most)
            rest = rest[end:]
        if len(rest) > block_bytes:
            raise PermanentError("record_too_long", f"a record is longer than {block_bytes} bytes")
    if rest:
        yield from _parts(rest, grammar, most)


def _parts(block: bytes, grammar: Grammar, most: int) -> Iterator[bytes]:
    """The block, halved for as long as there may be too many records in it."""
    if grammar.most_records(block) <= most or not (end := _middle(block, grammar, most)):
        yield block
        return
    yield from _parts(block[:end], grammar, most)
    yield from _parts(block[end:], grammar, most)


def _middle(block: bytes, grammar: Grammar, most: int) -> int:
    """Behind a record about half-way; 0 if the first one leaves no room for too many others."""
    behind = len(block) // 2
    while behind > most // 2:
        if end := grammar.last_record_end(block[: len(block) - behind]):
            return end
        behind //= 2
    return 0


def lines_in(block: bytes) -> int:
    """How many line ends the block has; a line feed behind a carriage return is one with it."""
    line_feeds, returns = block.count(b"\n"), block.count(b"\r")
    both = block.count(b"\r\n") if line_feeds and returns else 0  # as slow as all the rest
    return line_feeds + returns - both


class Utf8Stream:
    """A stream re-encoded as UTF-8, without a byte order mark.

    Bytes that a one-byte encoding does not know come through as bytes that are not valid UTF-8,
    so that the row they stand in, and no other, is rejected.

    Raises `PermanentError`: `encoding_mismatch` when a UTF-16 mark contradicts the layout,
    `invalid_encoding` when a multi-byte encoding is broken for good.
    """

    def __init__(self, stream: SeekableSource, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._restart()

    def _restart(self) -> None:
        self._decoder = (
            None
            if self._encoding == "utf-8"
            else codecs.getincrementaldecoder(self._encoding)("surrogateescape")
        )
        self._is_at_start = True
        self._mark_bytes = 0
        self._ahead = b""

    def go_to(self, offset_bytes: int) -> None:
        """Goes on at that offset of the text; what is not UTF-8 is read up to there."""
        self._ahead = b""
        if self._decoder is None:
            if self._is_at_start:
                self.read(1)
            self._stream.seek(self._mark_bytes + offset_bytes)
            return
        self._stream.seek(0)
        self._restart()
        while offset_bytes and (text := self.read(min(offset_bytes, BLOCK_BYTES))):
            self._ahead = text[offset_bytes:]
            offset_bytes = max(offset_bytes - len(text), 0)

    def unread(self, text: bytes) -> None:
        """Puts back what was read last, to be read again."""
        self._ahead = text

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, as UTF-8; empty only at the end."""
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        while True:
            raw = self._stream.read(size)
            fresh = self._without_mark(raw) if self._decoder is None else self._transcode(raw)
            if fresh or not raw:
                return fresh

    def _without_mark(self, raw: bytes) -> bytes:
        if not self._is_at_start:
            return raw
        self._is_at_start = False
        while len(raw) < len(codecs.BOM_UTF8) and (more := self._stream.read(1)):
            raw += more
        if raw.startswith(_UTF16_MARKS):
            raise PermanentError(
                "encoding_mismatch", "the file is UTF-16: set format.encoding = 'utf-16'"
            )
        text = raw.removeprefix(codecs.BOM_UTF8)
        self._mark_bytes = len(raw) - len(text)
        return text

    def _transcode(self, raw: bytes) -> bytes:
        if self._decoder is None:
            return raw
        try:
            text = self._decoder.decode(raw, final=not raw)
            if self._is_at_start and text:
                self._is_at_start = False
                text = text.removeprefix("\ufeff")
            return text.encode("utf-8", "surrogateescape")
        except UnicodeError:
            raise PermanentError(
                "invalid_encoding", "the file is not in the encoding that its layout states"
            ) from None


class Limited:
    """The first bytes of a stream, and no more."""

    def __init__(self, stream: ByteSource, size_bytes: int) -> None:
        self._stream = stream
        self._left = size_bytes

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""
        if not self._left:
            return b""
        fresh = self._stream.read(self._left if size < 0 else min(size, self._left))[: self._left]
        self._left -= len(fresh)
        return fresh


class LineGrammar:
    """Records are lines, whatever they hold."""

    def last_record_end(self, block: bytes) -> int:
        """Behind the last line feed; carriage returns alone end lines where no line feed is."""
        end = block.rfind(b"\n") + 1
        if end or b"\r" not in block:
            return end
        return block.rfind(b"\r", 0, len(block) - 1) + 1

    def most_records(self, block: bytes) -> int:
        """As many as line ends, and one without."""
        return lines_in(block) + 1


class QuotedGrammar:
    """Records of a delimited file with quotes or escapes, which may hide delimiters and line ends.

    The grammar is the parser's own: a quote opens a field only at its start; inside, a doubled
    quote (or an escaped one) is a character; what follows the closing quote is taken as it is.
    Line ends, escaped or not, end a record unless `embedded_newlines`.
    """

    def __init__(self, delimiter: str, quote: str, escape: str, *, embedded_newlines: bool) -> None:
        self._delimiter = delimiter.encode()
        self._quote, self._escape = quote.encode(), escape.encode()
        self._between = self._quote + self._delimiter + self._quote
        self._special = tuple(text.encode() for text in (quote, escape) if text)
        d, q, e = (re.escape(text.encode()) for text in (delimiter, quote, escape))
        line_ends = b"" if embedded_newlines else rb"\r\n"
        escaped = rb"|" + e + (rb"(?s:.)" if embedded_newlines else rb"[^\r\n]") if e else b""
        plain = rb"(?:[^" + d + e + rb"\r\n]" + escaped + rb")*+"
        field = plain
        if q:
            inside = rb"(?:[^" + q + e + line_ends + rb"]|" + q + q + escaped + rb")*+"
            field = rb"(?:" + q + inside + q + plain + rb"|(?!" + q + rb")" + plain + rb")"
        record = rb"(?>" + field + rb"(?:" + d + field + rb")*+)"
        self._field = re.compile(field)
        self._complete = re.compile(rb"(?:" + record + rb"(?:\r\n|\n|\r(?!\n|\Z)))*+")
        self._one = re.compile(record + rb"(?:\r\n|\n|\r(?!\n)|\Z)")

    def last_record_end(self, block: bytes, start: int = 0) -> int:
        """Behind the last of the complete records, quotes closed, that follow one another."""
        match = self._complete.match(block, start)
        return match.end() if match else start

    def most_records(self, block: bytes) -> int:
        """As many as line ends, and one without."""
        return lines_in(block) + 1

    def one_record_end(self, block: bytes, start: int) -> int | None:
        """Behind the record that begins at `start`; None when its quotes do not close."""
        match = self._one.match(block, start)
        return match.end() if match else None

    def is_line_of_quoted_fields(self, block: bytes) -> bool:
        """Whether the block is surely one record on one line, for it has the plainest of forms.

        It begins and ends with a quote, and all others stand in pairs around a delimiter. To count
        them takes a tenth of the time that a look at every field takes.
        """
        line = block.rstrip(b"\r\n")
        if not self._quote or not line.startswith(self._quote) or line.startswith(self._between):
            return False
        if b"\n" in line or b"\r" in line or block[len(line) :] not in _ONE_LINE_END:
            return False
        if self._escape and self._escape in line:
            return False
        if line.count(self._quote) != 2 * (line.count(self._between) + 1):
            return False
        behind = line.rfind(self._between)
        return behind < 0 or self._quote in line[behind + len(self._between) :]

    def is_needed_for(self, block: bytes) -> bool:
        """Whether a quote or an escape stands in the block; without one, lines are records."""
        return any(text in block for text in self._special)

    def fields(self, record: bytes) -> list[bytes] | None:
        """The fields of one record, quotes and all; None when its quotes do not close."""
        fields: list[bytes] = []
        start = 0
        while match := self._field.match(record, start):
            fields.append(match[0])
            if match.end() == len(record):
                return fields
            if not record.startswith(self._delimiter, match.end()):
                return None
            start = match.end() + len(self._delimiter)
        return None
