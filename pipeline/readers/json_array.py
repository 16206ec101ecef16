"""One JSON array of objects: the whole document, or a member of it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from itertools import islice

from pipeline.core.layouts import Layout
from pipeline.core.structured_formats import Json
from pipeline.errors import PermanentError
from pipeline.model import START, Position
from pipeline.readers.framing import (
    BLOCK_BYTES,
    MAX_RECORDS,
    ByteSource,
    SeekableSource,
    Utf8Stream,
)
from pipeline.readers.json_values import (
    as_record,
    is_nested_too_deep,
    value_from,
    without_sensitive_words,
)
from pipeline.readers.numbers import MAX_JSON_INTEGER
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.structured import Record, StructuredRecords, Unreadable

_SPACE = re.compile(r"[ \t\r\n]*")
PIECE_BYTES = 256 * 1024


def read_json_array(
    stream: SeekableSource,
    layout: Layout,
    start: Position = START,
    end_bytes: int | None = None,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[TextRecordBatch]:
    """The elements of the array, `block_bytes` of text at a time.

    Where one element ends is known only from JSON that is right, so a file with a mistake is
    refused where it stands. Raises `PermanentError`: `empty_file`, `no_rows`, `malformed_json`
    with an offset, `not_an_array`, `record_too_long`, `encoding_mismatch`, `missing_column`.
    """
    path = layout.format.path if isinstance(layout.format, Json) else ""
    text = Utf8Stream(stream, "utf-8")
    document = _Document(text, block_bytes)
    document.find_array(path.split(".") if path else [])
    if start.offset_bytes:
        text.go_to(start.offset_bytes)
        document.go_on(start.offset_bytes)
    records = StructuredRecords(layout, MAX_JSON_INTEGER)
    rows = start.rows
    while end_bytes is None or document.offset_bytes < end_bytes:
        limit = document.offset_bytes + block_bytes
        elements = document.elements(limit if end_bytes is None else min(limit, end_bytes))
        found = list(islice(elements, MAX_RECORDS))
        if not found:
            break
        yield records.batch(found, rows + 1, Position(document.offset_bytes, rows + len(found)))
        rows += len(found)
    if end_bytes is None:
        document.finish()
        if not rows:
            raise PermanentError("no_rows", "the array holds no elements")


class _Document:
    """The text of a document around a place in it, read as far as needed.

    `offset_bytes` is that place, counted in the file's text.
    """

    def __init__(self, stream: ByteSource, block_bytes: int) -> None:
        self._stream = stream
        self._block_bytes = block_bytes
        self._frame = ""
        self._is_at_first = True
        self._is_closed = False
        self._reset(0)

    def _reset(self, offset_bytes: int) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._passed = 0
        self._at = 0
        self._has_ended = False
        self.offset_bytes = offset_bytes

    def go_on(self, offset_bytes: int) -> None:
        """Goes on behind an element, at which the stream stands now."""
        self._reset(offset_bytes)
        self._is_at_first = False

    def find_array(self, path: list[str]) -> None:
        """Goes to the first element of the array at that path."""
        for name in path:
            self._enter(name)
        first = self._next_character()
        if not first and not self._text:
            raise PermanentError("empty_file", "the file holds no bytes")
        if first != "[":
            hint = "the document is no array: set format.path, or type = 'jsonl'"
            raise PermanentError("not_an_array", hint if not path else "at format.path")
        self._at += 1
        self._frame = self._text[: self._at]
        self._pass()

    def _enter(self, wanted: str) -> None:
        """Goes to the value of a member, over those before it."""
        self._expect("{", "not_an_array", "format.path leads nowhere")
        while self._next_character() != "}":
            name = self._value()
            self._expect(":")
            if name == wanted:
                return
            self._next_character()
            self._value()
            if self._next_character() == ",":
                self._at += 1
                self._next_character()
            if self._at > self._block_bytes:
                raise PermanentError("record_too_long", "too much stands before format.path")
        raise PermanentError("not_an_array", "format.path leads nowhere")

    def _expect(self, character: str, code: str = "malformed_json", detail: str = "") -> None:
        if self._next_character() != character:
            raise PermanentError(code, detail) if detail else self._mistake()
        self._at += 1
        self._next_character()

    def elements(self, limit_bytes: int) -> Iterator[Record]:
        """The elements that follow, until the place has reached the limit or the array its end."""
        while self.offset_bytes < limit_bytes and not self._is_closed:
            if self._next_character() == "]":
                self._at += 1
                self._is_closed = True
                return
            if not self._is_at_first:
                if self._next_character() != ",":
                    raise self._mistake()
                self._at += 1
                self._next_character()
            self._is_at_first = False
            element = self._element()
            self._pass()
            yield element

    def _element(self) -> Record:
        begin = self._at - self._passed
        value = self._value()
        begin += self._passed
        text = self._text[begin : self._at]
        if is_nested_too_deep(text):
            return Unreadable("nested_too_deep", without_sensitive_words(text))
        return as_record(value, text)

    def _value(self) -> object:
        """The value at hand; it is whole when something follows it, or the document has ended."""
        while True:
            try:
                value, end = value_from(self._text, self._at)
            except ValueError:
                value, end = None, len(self._text)
                if self._has_ended:
                    raise self._mistake() from None
            if end < len(self._text) or self._has_ended:
                self._at = end
                return value
            self._read_more()

    def _next_character(self) -> str:
        """What comes behind the white space; the empty text at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or self._has_ended:
                return self._text[self._at : self._at + 1]
            self._read_more()

    def _read_more(self) -> None:
        if len(self._text) - self._at > self._block_bytes:
            raise PermanentError(
                "record_too_long",
                f"what begins at byte {self._offset()} is longer than {self._block_bytes} bytes, "
                "or no JSON",
            )
        fresh = self._stream.read(PIECE_BYTES)
        self._has_ended = not fresh
        self._text = self._text[self._passed :] + self._decoder.decode(fresh, self._has_ended)
        self._at -= self._passed
        self._passed = 0

    def _offset(self) -> int:
        text = self._text[self._passed : self._at]
        return self.offset_bytes + len(text.encode("utf-8", "surrogateescape"))

    def _pass(self) -> None:
        """Leaves the text before the place behind."""
        self.offset_bytes = self._offset()
        self._passed = self._at

    def _mistake(self) -> PermanentError:
        return PermanentError("malformed_json", f"at byte {self._offset()}")

    def finish(self) -> None:
        """Reads what stands behind the array: it must end what stood before, and nothing else."""
        if not self._is_closed:
            raise self._mistake()
        self._frame += "]"
        while not self._has_ended:
            self._read_more()
        whole = self._frame + self._text[self._at :]
        try:
            _, end = value_from(whole, len(whole) - len(whole.lstrip()))
        except ValueError:
            raise self._mistake() from None
        if whole[end:].strip(" \t\r\n"):
            raise self._mistake()
