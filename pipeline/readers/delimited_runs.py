"""The lines of a block of delimited text, told apart before any of them is parsed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pipeline.core.formats import Delimited
from pipeline.errors import PermanentError
from pipeline.readers.control_totals import Mark
from pipeline.readers.delimited_parser import split_fields
from pipeline.readers.framing import QuotedGrammar
from pipeline.readers.line_types import LINE_END, Lines, LineSorter

UNKNOWN_TYPE = "unknown_record_type"


def quoted_grammar(dialect: Delimited) -> QuotedGrammar:
    """How records end where quotes and escapes may hide it."""
    return QuotedGrammar(
        dialect.delimiter,
        dialect.quote,
        dialect.escape,
        embedded_newlines=dialect.embedded_newlines,
    )


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive lines of one type: records to be parsed, or one line that is `malformed`."""

    lines: Lines
    first_row: int
    rows: int
    malformed: str = ""


@dataclass(slots=True)
class Block:
    """What the lines of a block are, in their order."""

    runs: list[Run] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    @property
    def malformed(self) -> list[Run]:
        """The lines that are no records."""
        return [run for run in self.runs if run.malformed]

    @property
    def by_type(self) -> Mapping[str, list[Run]]:
        """The runs that are to be parsed."""
        by_type: dict[str, list[Run]] = {}
        for run in self.runs:
            if not run.malformed:
                by_type.setdefault(run.lines.type_name, []).append(run)
        return by_type


class RunSorter:
    """Sorts a block's lines into runs; those whose quotes do not close come apart."""

    def __init__(
        self,
        dialect: Delimited,
        quoted: QuotedGrammar | None,
        types: LineSorter | None,
        *,
        keeps_marks: bool,
    ) -> None:
        """`keeps_marks`: the fields of headers and trailers are wanted."""
        self._dialect = dialect
        self._quoted = quoted
        self._types = types
        self._keeps_marks = keeps_marks

    def sorted(self, text: bytes, next_row: int) -> Block:
        """What the lines are, the first record among them having that row number."""
        block = Block()
        whole = [Lines(text, "", "detail")] if text else []
        for lines in self._types.split(text) if self._types else whole:
            if lines.role not in ("detail", "unknown"):
                fields = split_fields(lines.body, self._dialect) if self._keeps_marks else ()
                block.marks.append(Mark(lines.type_name, fields, next_row))
                continue
            for body, reason in self._balanced(lines):
                is_all = len(body) == len(text)  # then the parser will say how many there are
                rows = 1 if reason else 0 if is_all else _rows_in(body)
                part = lines if body is lines.body else replace(lines, body=body)
                block.runs.append(Run(part, next_row, rows, reason))
                next_row += rows
        return block

    def _balanced(self, lines: Lines) -> Iterator[tuple[bytes, str]]:
        """The lines, those whose quotes do not close apart, when a look says there may be some."""
        run, position = lines.body, 0
        if lines.role == "unknown":
            yield run, UNKNOWN_TYPE
            return
        if self._quoted is None or self._quoted.is_line_of_quoted_fields(run):
            yield run, ""
            return
        if not self._quoted.is_needed_for(run):
            yield run, ""
            return
        if self._quoted.one_record_end(run, 0) == len(run):
            yield run, ""
            return
        while position < len(run):
            end = self._quoted.last_record_end(run, position)
            if self._quoted.one_record_end(run, end) == len(run):
                end = len(run)
            if end > position:
                yield run[position:end], ""
                position = end
                continue
            if self._dialect.embedded_newlines:
                raise PermanentError(
                    "unbalanced_quote", "a quote opens in the last records and never closes"
                )
            match = LINE_END.search(run, position)
            end = match.end() if match else len(run)
            yield run[position:end], self._why_unbalanced(run[position:end])
            position = end

    def _why_unbalanced(self, line: bytes) -> str:
        quote = self._dialect.quote.encode()
        return "unbalanced_quote" if quote and quote in line else "dangling_escape"


def _rows_in(lines: bytes) -> int:
    """How many lines they are, blank ones left out."""
    end = lines.find(b"\n")
    if 1 < end == len(lines) - 1 and lines.find(b"\r") in (-1, end - 1):
        return 1
    has_lone_cr = b"\r" in lines and lines.count(b"\r") != lines.count(b"\r\n")
    if has_lone_cr or b"\n\n" in lines or b"\n\r" in lines or lines[:1] in (b"\r", b"\n"):
        return sum(1 for line in LINE_END.split(lines) if line)
    return lines.count(b"\n") + (not lines.endswith(b"\n"))
