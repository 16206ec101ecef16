"""Lines of delimited text by what they are: records of some type, comments, or nothing known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.core.formats import Delimited
from pipeline.core.record_types import Records, RecordType

LINE_END = re.compile(rb"\r\n|\n|\r")

_LONE_CR = re.compile(rb"\r(?!\n)")
_COMMENT, _UNKNOWN = "#", "?"  # no names that a type can have


@dataclass(frozen=True, slots=True)
class Lines:
    """Consecutive lines of details, or one line of something else.

    `type_name` is empty where the file has no record types; `role` is `unknown` for a line of none.
    """

    body: bytes = field(repr=False)
    type_name: str
    role: str


class LineSorter:
    """Tells the lines of a block apart.

    Where one type alone is of details, only the exceptions are looked at; else every line is.
    """

    def __init__(self, records: Records | None, dialect: Delimited) -> None:
        types = records.types if records else {"": RecordType()}
        self._roles = {name: each.role for name, each in types.items()}
        beginnings = _beginnings(records, dialect)
        self._names = list(beginnings)
        details = [name for name, role in self._roles.items() if role == "detail"]
        unmarked = [name for name in details if name not in beginnings]
        self._other = unmarked[0] if unmarked else _UNKNOWN
        self._kind = re.compile(_alternatives(beginnings.values()) or rb"(?!)")
        self._main = details[0] if len(details) == 1 else ""
        wanted = self._exceptions(beginnings) if len(details) == 1 else self._kind.pattern + rb"?"
        self._line = re.compile(rb"^" + wanted + rb"[^\n]*(?:\n|\Z)", re.MULTILINE)
        self._line_by_cr = re.compile(  # five times slower
            rb"(?:^|(?<=\r)(?!\n))" + wanted + rb"[^\r\n]*(?:\r\n|\n|\r|\Z)", re.MULTILINE
        )

    def _exceptions(self, beginnings: dict[str, bytes]) -> bytes:
        others = [pattern for name, pattern in beginnings.items() if name != self._main]
        if self._main not in beginnings:
            return rb"(?:" + rb"|".join(others) + rb")"
        not_main = rb"(?!" + beginnings[self._main] + rb")"
        comments = [beginnings[_COMMENT]] if _COMMENT in beginnings else []
        return rb"(?:" + rb"|".join([*comments, not_main]) + rb")"

    def without_leading_lines(self, block: bytes) -> bytes:
        """The block behind what may come before the line of column names."""
        while block and self._kind_of(block) not in (_UNKNOWN, self._other, self._main):
            match = LINE_END.search(block)
            block = block[match.end() :].lstrip(b"\r\n") if match else b""
        return block

    def split(self, block: bytes) -> Iterator[Lines]:
        """The lines in their order; comments and blank lines left out."""
        position = 0
        pattern = self._line_by_cr if _LONE_CR.search(block) else self._line
        for match in pattern.finditer(block):
            yield from self._details(block[position : match.start()])
            position = match.end()
            line = match[0]
            if line.strip(b"\r\n"):
                name = self._name(match) if match.lastgroup else self._kind_of(line)
                if name != _COMMENT:
                    yield Lines(line, name, self._roles.get(name, "unknown"))
        yield from self._details(block[position:])

    def _details(self, lines: bytes) -> Iterator[Lines]:
        if lines.strip(b"\r\n"):
            yield Lines(lines, self._main, "detail")

    def _kind_of(self, line: bytes) -> str:
        match = self._kind.match(line)
        return self._name(match) if match else self._other

    def _name(self, match: re.Match[bytes]) -> str:
        return self._names[int((match.lastgroup or "t0")[1:])]


def _beginnings(records: Records | None, dialect: Delimited) -> dict[str, bytes]:
    """Patterns for how the lines of each kind begin, comments first."""
    beginnings: dict[str, bytes] = {}
    if dialect.comments:
        beginnings[_COMMENT] = _any_of([re.escape(each.encode()) for each in dialect.comments])
    for name, each in records.types.items() if records else ():
        marks = [mark.encode() for mark in each.match]
        if marks and records and records.field:
            beginnings[name] = _field_is(records.field, marks, dialect)
        elif marks:
            beginnings[name] = _any_of(list(map(re.escape, marks)))
    return beginnings


def _field_is(number: int, values: Sequence[bytes], dialect: Delimited) -> bytes:
    """A pattern for lines whose n-th field holds one of the values, in quotes or not."""
    delimiter, quote = re.escape(dialect.delimiter.encode()), re.escape(dialect.quote.encode())
    before = rb"(?:(?!" + delimiter + rb")[^\r\n])*+"
    if quote:
        inside = rb"(?:[^\r\n" + quote + rb"]|" + quote * 2 + rb")*+"
        before = rb"(?:" + quote + inside + quote + rb")?" + before
    value = rb" *" + _any_of(list(map(re.escape, values))) + rb" *"
    if quote:
        value = rb"(?:" + quote + value + quote + rb" *|" + value + rb")"
    skipped = rb"(?:" + before + delimiter + rb"){%d}" % (number - 1)
    return skipped + value + rb"(?=" + delimiter + rb"|[\r\n]|\Z)"


def _any_of(patterns: Sequence[bytes]) -> bytes:
    return rb"(?:" + rb"|".join(patterns) + rb")"


def _alternatives(patterns: Iterable[bytes]) -> bytes:
    named = [b"(?P<t%d>%s)" % pair for pair in enumerate(patterns)]
    return rb"(?:" + rb"|".join(named) + rb")" if named else b""
