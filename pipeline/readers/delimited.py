"""Delimited text: any delimiter, quoting, header or none, record types, control totals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.formats import Delimited, as_delimited
from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError
from pipeline.model import START, Position
from pipeline.readers.column_names import check_columns, column_names
from pipeline.readers.control_totals import ControlTotals, Details, Mark
from pipeline.readers.delimited_parser import Parsed, parse, split_fields
from pipeline.readers.framing import (
    BLOCK_BYTES,
    ByteSource,
    Limited,
    LineGrammar,
    QuotedGrammar,
    SeekableSource,
    Utf8Stream,
    blocks_of_records,
)
from pipeline.readers.line_types import LINE_END, Lines, LineSorter
from pipeline.readers.records import MalformedRow, TextRecordBatch
from pipeline.readers.redaction import RecordRedactor
from pipeline.readers.surroundings import skip_preamble, without_last_lines
from pipeline.readers.undecodable import UNDECODABLE_BYTES, decodable, marked

UNKNOWN_TYPE = "unknown_record_type"


def read_delimited(
    stream: SeekableSource,
    layout: Layout,
    start: Position = START,
    end_bytes: int | None = None,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[TextRecordBatch]:
    """The records of a file, block by block, in memory bounded by `block_bytes`.

    They are those from `start` on, up to `end_bytes` of the text or to the end of the file; what
    can only be said at the end of the file is said there.

    Raises `PermanentError` when the file as a whole cannot be read by this layout: `empty_file`,
    `preamble_without_end`, `missing_column`, `duplicate_column`, `header_looks_like_data`,
    `too_many_columns`, `record_too_long`, `encoding_mismatch`, `invalid_encoding`,
    `unbalanced_quote`, `no_rows`, and for files with trailers `trailer_missing`,
    `trailer_mismatch`, `records_after_trailer`.
    """
    dialect = as_delimited(layout.format)
    text = Utf8Stream(stream, dialect.encoding)
    grammar = _grammar(dialect)
    reader = _DelimitedReader(layout)
    if start.offset_bytes:
        if not layout.stated_fields:
            skip_preamble(text, dialect, block_bytes)
            reader.read_column_names(blocks_of_records(text, grammar, block_bytes))
        text.go_to(start.offset_bytes)
        reader.go_on(start)
    else:
        reader.go_on(Position(skip_preamble(text, dialect, block_bytes)))
    rest: ByteSource = text
    if end_bytes is not None:
        rest = Limited(text, end_bytes - reader.offset_bytes)
    for block in blocks_of_records(rest, grammar, block_bytes):
        batch = reader.read(block)
        if batch is not None:
            yield batch
    if end_bytes is None:
        reader.finish()
    elif (batch := reader.read_held_back()) is not None:
        yield batch


def is_one_record(record: bytes, dialect: Delimited) -> bool:
    """Whether the bytes, without a line end behind them, are one record of such a file."""
    if not record.strip(b"\r\n"):
        return False
    grammar = _quoted_grammar(dialect) if dialect.embedded_newlines else None
    if grammar is None:
        return not LINE_END.search(record)
    return grammar.one_record_end(record, 0) == len(record)


def _dialect(layout: Layout) -> Delimited:
    return cast(Delimited, layout.format)


def _grammar(dialect: Delimited) -> LineGrammar | QuotedGrammar:
    return _quoted_grammar(dialect) if dialect.embedded_newlines else LineGrammar()


def _quoted_grammar(dialect: Delimited) -> QuotedGrammar:
    return QuotedGrammar(
        dialect.delimiter,
        dialect.quote,
        dialect.escape,
        embedded_newlines=dialect.embedded_newlines,
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive lines of one type: records to be parsed, or one line that is `malformed`."""

    lines: Lines
    first_row: int
    rows: int
    malformed: str = ""


@dataclass(slots=True)
class _Block:
    """What the lines of a block are, in their order."""

    runs: list[_Run] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    @property
    def malformed(self) -> list[_Run]:
        return [run for run in self.runs if run.malformed]

    @property
    def by_type(self) -> Mapping[str, list[_Run]]:
        """The runs that are to be parsed."""
        by_type: dict[str, list[_Run]] = {}
        for run in self.runs:
            if not run.malformed:
                by_type.setdefault(run.lines.type_name, []).append(run)
        return by_type


class _DelimitedReader:
    """Turns blocks into record batches, and remembers what spans blocks."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._dialect = as_delimited(layout.format)
        has_grammar = self._dialect.quote or self._dialect.escape
        self._quoted = _quoted_grammar(self._dialect) if has_grammar else None
        self._names = layout.stated_fields
        has_types = layout.records is not None or self._dialect.comments
        self._sorter = LineSorter(layout.records, self._dialect) if has_types else None
        marks = {name: each.number_marks for name, each in layout.columns.items()}
        self._totals = ControlTotals(layout.records, marks)
        self._next_row = 1
        self._held_back = b""
        self._is_empty = True
        self.offset_bytes = 0

    def read_column_names(self, blocks: Iterator[bytes]) -> None:
        """Reads the beginning of a file, as far as the line of column names."""
        while not self._names and (block := next(blocks, b"")):
            self._behind_column_names(block)

    def go_on(self, position: Position) -> None:
        """Goes on behind what was read before, perhaps by somebody else."""
        self._next_row = position.rows + 1
        self.offset_bytes = position.offset_bytes
        self._totals.go_on(position.totals)
        self._is_empty = position.offset_bytes == 0

    def _position(self) -> Position | None:
        totals = self._totals.so_far()
        if totals is None:
            return None
        return Position(self.offset_bytes, self._next_row - 1, totals)

    def read(self, block: bytes) -> TextRecordBatch | None:
        self._is_empty = False
        if self._dialect.footer_lines:
            block = self._held_back + block
            kept = without_last_lines(block, self._dialect.footer_lines)
            block, self._held_back = kept, block[len(kept) :]
        return self._read(block)

    def read_held_back(self) -> TextRecordBatch | None:
        """What is no footer after all: the file goes on."""
        block, self._held_back = self._held_back, b""
        return self._read(block) if block else None

    def _read(self, text: bytes) -> TextRecordBatch | None:
        self.offset_bytes += len(text)
        block = self._sorted(text if self._names else self._behind_column_names(text))
        if not block.runs:
            self._totals.take([], block.marks)
            return None
        batch = self._batch(block)
        self._next_row += batch.rows
        return replace(batch, end=self._position())

    def finish(self) -> None:
        """What can only be said at the end of the file."""
        if self._is_empty:
            raise PermanentError("empty_file", "the file holds no bytes")
        is_confirmed_empty = self._totals.finish()
        if self._next_row == 1 and not is_confirmed_empty:
            raise PermanentError("no_rows", "the file holds no data records")

    def _behind_column_names(self, block: bytes) -> bytes:
        """What follows the line of column names; nothing while that line is yet to come."""
        block = block.lstrip(b"\r\n")
        if self._sorter is not None:
            block = self._sorter.without_leading_lines(block)
        if not block:
            return block
        end = self._quoted.one_record_end(block, 0) if self._quoted else None
        if end is None:
            match = LINE_END.search(block)
            end = match.end() if match else len(block)
        self._names = column_names(block[:end], self._dialect)
        check_columns(self._names, self._layout)
        return block[end:]

    def _sorted(self, text: bytes) -> _Block:
        block, next_row = _Block(), self._next_row
        whole = [Lines(text, "", "detail")] if text else []
        for lines in self._sorter.split(text) if self._sorter else whole:
            if lines.role not in ("detail", "unknown"):
                fields = split_fields(lines.body, self._dialect) if self._totals.are_stated else ()
                block.marks.append(Mark(lines.type_name, fields, next_row))
                continue
            for body, reason in self._balanced(lines):
                is_all = len(body) == len(text)  # then the parser will say how many there are
                rows = 1 if reason else 0 if is_all else _rows_in(body)
                part = lines if body is lines.body else replace(lines, body=body)
                block.runs.append(_Run(part, next_row, rows, reason))
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

    def _batch(self, block: _Block) -> TextRecordBatch:
        malformed = [MalformedRow(run.first_row, run.malformed) for run in block.malformed]
        details: list[Details] = []
        is_marked = False
        for name, runs in block.by_type.items():
            text = marked(b"".join([run.lines.body for run in runs]))
            is_marked = is_marked or UNDECODABLE_BYTES in text
            details.append(self._details(name, runs, text))
        malformed += [
            MalformedRow(row, "wrong_field_count") for each in details for row in each.unreadable
        ]
        self._totals.take([*details, *self._unbalanced(block)], block.marks)
        table, row_numbers = self._in_order(details)
        if is_marked:
            table, row_numbers, undecodable = decodable(table, row_numbers)
            malformed += [MalformedRow(number, "invalid_encoding") for number in undecodable]
        records = _RawRecords(block.runs, self._quoted if not self._dialect.has_lines else None)
        return TextRecordBatch(
            file_columns=self._names,
            columns=_one_batch(table),
            row_numbers=row_numbers,
            malformed=sorted(malformed, key=lambda item: item.row_number),
            raw_record=lambda number: self._redacted(*records.all[number - self._first_row(block)]),
        )

    @staticmethod
    def _first_row(block: _Block) -> int:
        return block.runs[0].first_row

    def _details(self, name: str, runs: Sequence[_Run], text: bytes) -> Details:
        names = self._names_of(name)
        wanted = [each for each in names if each in self._wanted] or [names[0]]
        parsed = parse(text, names, wanted, self._dialect, self._quoted)
        table = _trimmed(parsed.table) if self._dialect.trim else parsed.table
        numbers = _row_numbers(runs, parsed)
        if parsed.ordinals is None:
            return Details(name, names, table, numbers, ())
        unreadable = numbers.take(pa.array(parsed.wrong, pa.int64())).to_pylist()
        return Details(name, names, table, numbers.take(parsed.ordinals), unreadable)

    def _unbalanced(self, block: _Block) -> Iterator[Details]:
        """The details that cannot even be split into fields."""
        nothing = pa.schema([(each, pa.string()) for each in self._wanted]).empty_table()
        for run in block.malformed:
            if run.malformed != UNKNOWN_TYPE:
                name = run.lines.type_name
                columns = self._names_of(name)
                none = pa.array([], pa.int64())
                yield Details(name, columns, nothing, none, [run.first_row])

    def _in_order(self, details: Sequence[Details]) -> tuple[pa.Table, pa.Array]:
        """The rows of all types as they follow one another, null where a type has no such cell."""
        if len(details) == 1 and details[0].table.column_names == self._wanted:
            return details[0].table, details[0].row_numbers
        schema = pa.schema([(name, pa.string()) for name in self._wanted])
        tables = [_with_all_columns(each.table, schema) for each in details]
        if not tables:
            return schema.empty_table(), pa.array([], pa.int64())
        row_numbers = pa.concat_arrays([each.row_numbers for each in details])
        order = pc.sort_indices(row_numbers)
        return pa.concat_tables(tables).take(order), row_numbers.take(order)

    def _redacted(self, type_name: str | None, record: bytes) -> bytes:
        """The record; its fields are unknown if its type is."""
        redactor = self._redactors.get(type_name or "") or self._redactor_of_unknown
        return redactor.redacted(record, has_file_columns=type_name is not None)

    @cached_property
    def _redactors(self) -> Mapping[str, RecordRedactor]:
        names = list(self._layout.records.detail_types) if self._layout.records else [""]
        return {name: self._redactor(self._names_of(name)) for name in names}

    @cached_property
    def _redactor_of_unknown(self) -> RecordRedactor:
        return self._redactor(self._names)

    def _redactor(self, names: Sequence[str]) -> RecordRedactor:
        return RecordRedactor(self._dialect.delimiter, self._quoted, names)

    def _names_of(self, type_name: str) -> tuple[str, ...]:
        """The names of the fields of one type of record."""
        types = self._layout.records.types if self._layout.records else {}
        return (types[type_name].fields if type_name in types else ()) or self._names

    @cached_property
    def _wanted(self) -> list[str]:
        """The columns that the layout names, in the file's order."""
        named = set(self._layout.named_columns)
        return [name for name in self._names if name in named]


@dataclass(frozen=True)
class _RawRecords:
    """The original bytes of a block's records, split only when somebody asks."""

    runs: Sequence[_Run] = field(repr=False)
    grammar: QuotedGrammar | None

    @cached_property
    def all(self) -> list[tuple[str | None, bytes]]:
        """Each with the name of its type, None for one of no known type."""
        records: list[tuple[str | None, bytes]] = []
        for run in self.runs:
            if run.malformed:
                is_unknown = run.malformed == UNKNOWN_TYPE
                name = None if is_unknown else run.lines.type_name
                records.append((name, LINE_END.sub(b"", run.lines.body)))
            else:
                records += [(run.lines.type_name, each) for each in self._split(run.lines.body)]
        return records

    def _split(self, body: bytes) -> list[bytes]:
        if self.grammar is None:
            return [line for line in LINE_END.split(body) if line]
        records, start = [], 0
        while start < len(body):
            end = self.grammar.one_record_end(body, start) or len(body)
            record = body[start:end].rstrip(b"\r\n")
            if record:
                records.append(record)
            start = end
        return records


def _rows_in(lines: bytes) -> int:
    """How many lines they are, blank ones left out."""
    end = lines.find(b"\n")
    if 1 < end == len(lines) - 1 and lines.find(b"\r") in (-1, end - 1):
        return 1
    has_lone_cr = b"\r" in lines and lines.count(b"\r") != lines.count(b"\r\n")
    if has_lone_cr or b"\n\n" in lines or b"\n\r" in lines or lines[:1] in (b"\r", b"\n"):
        return sum(1 for line in LINE_END.split(lines) if line)
    return lines.count(b"\n") + (not lines.endswith(b"\n"))


def _row_numbers(runs: Sequence[_Run], parsed: Parsed) -> pa.Array:
    """The number of each record of the runs in the file."""
    if len(runs) == 1:
        first = runs[0].first_row
        return pa.arange(first, first + parsed.records)
    numbers = [number for run in runs for number in range(run.first_row, run.first_row + run.rows)]
    return pa.array(numbers, pa.int64())


def _trimmed(table: pa.Table) -> pa.Table:
    columns = [pc.utf8_trim(column, " \t") for column in table.columns]
    return pa.table(columns, names=table.column_names)


def _with_all_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    missing = pa.nulls(table.num_rows, pa.string())
    has = set(table.column_names)
    return pa.table([table.column(n) if n in has else missing for n in schema.names], schema=schema)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    table = table.combine_chunks()
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
