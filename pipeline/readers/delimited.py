"""Delimited text: any delimiter, quoting, header or none, record types, control totals."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipeline.core.formats import Delimited, as_delimited
from pipeline.core.guard import could_hold_pan
from pipeline.core.layouts import Layout, Records
from pipeline.errors import PermanentError
from pipeline.model import START, Position
from pipeline.readers.control_totals import ControlTotals
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
from pipeline.readers.records import MalformedRow, TextRecordBatch
from pipeline.readers.redaction import RecordRedactor

MAX_COLUMNS = 10_000
UNKNOWN_TYPE = "unknown_record_type"

_LINE_END = re.compile(rb"\r\n|\n|\r")
_LONE_CR = re.compile(rb"\r(?!\n)")
_UNDECODABLE = "\U0010ffff"  # a noncharacter: it stands for bytes that are not UTF-8
_UNDECODABLE_BYTES = _UNDECODABLE.encode()


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
    `missing_column`, `duplicate_column`, `header_looks_like_data`, `too_many_columns`,
    `record_too_long`, `encoding_mismatch`, `invalid_encoding`, `unbalanced_quote`, `no_rows`, and
    for files with a trailer `trailer_missing`, `trailer_mismatch`, `records_after_trailer`.
    """
    dialect = as_delimited(layout.format)
    text = Utf8Stream(stream, dialect.encoding)
    grammar = _grammar(dialect)
    reader = _DelimitedReader(layout)
    if start.offset_bytes:
        reader.read_column_names(blocks_of_records(text, grammar, block_bytes))
        text.go_to(start.offset_bytes)
        reader.go_on(start)
    rest: ByteSource = text
    if end_bytes is not None:
        rest = Limited(text, end_bytes - start.offset_bytes)
    for block in blocks_of_records(rest, grammar, block_bytes):
        batch = reader.read(block)
        if batch is not None:
            yield batch
    if end_bytes is None:
        reader.finish()


def is_one_record(record: bytes, dialect: Delimited) -> bool:
    """Whether the bytes, without a line end behind them, are one record of such a file."""
    if not record.strip(b"\r\n"):
        return False
    grammar = _quoted_grammar(dialect) if dialect.embedded_newlines else None
    if grammar is None:
        return not _LINE_END.search(record)
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
    """Consecutive lines of a block: records to be parsed, or one line that is `malformed`."""

    body: bytes = field(repr=False)
    malformed: str = ""


class _DelimitedReader:
    """Turns blocks into record batches, and remembers what spans blocks."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._dialect = as_delimited(layout.format)
        has_grammar = self._dialect.quote or self._dialect.escape
        self._quoted = _quoted_grammar(self._dialect) if has_grammar else None
        self._names: tuple[str, ...] = self._dialect.fields
        self._splitter = RecordTypes(layout.records) if layout.records else None
        self._totals = ControlTotals(layout.records)
        self._next_row = 1
        self._offset_bytes = 0
        self._is_empty = True

    def read_column_names(self, blocks: Iterator[bytes]) -> None:
        """Reads the beginning of a file, as far as the line of column names."""
        while not self._names and (block := next(blocks, b"")):
            self._behind_column_names(block)

    def go_on(self, position: Position) -> None:
        """Goes on behind what was read before, perhaps by somebody else."""
        self._next_row = position.rows + 1
        self._offset_bytes = position.offset_bytes
        self._totals.go_on(position.totals)
        self._is_empty = False

    def _position(self) -> Position | None:
        totals = self._totals.so_far()
        if totals is None:
            return None
        return Position(self._offset_bytes, self._next_row - 1, totals)

    def read(self, block: bytes) -> TextRecordBatch | None:
        self._is_empty = False
        self._offset_bytes += len(block)
        if not self._names:
            block = self._behind_column_names(block)
        runs = list(self._runs(block))
        if not runs:
            return None
        first_row = self._next_row
        batch = self._batch(runs, first_row)
        self._next_row += batch.rows
        return replace(batch, end=self._position())

    def finish(self) -> None:
        """What can only be said at the end of the file."""
        if self._is_empty:
            raise PermanentError("empty_file", "the file holds no bytes")
        is_confirmed_empty = self._totals.verify()
        if self._next_row == 1 and not is_confirmed_empty:
            raise PermanentError("no_rows", "the file holds no data records")

    def _behind_column_names(self, block: bytes) -> bytes:
        """What follows the line of column names; nothing while that line is yet to come."""
        block = block.lstrip(b"\r\n")
        if self._splitter is not None:
            block = self._splitter.without_leading_headers(block)
        if not block:
            return block
        end = self._quoted.one_record_end(block, 0) if self._quoted else None
        if end is None:
            match = _LINE_END.search(block)
            end = match.end() if match else len(block)
        self._names = column_names(block[:end], self._dialect)
        _check_columns(self._names, self._layout)
        return block[end:]

    def _runs(self, block: bytes) -> Iterator[_Run]:
        if self._splitter is None:
            yield from self._balanced(block) if block else ()
            return
        for body, kind in self._splitter.split(block):
            if kind == "detail":
                self._totals.forbid_after_trailer()
                yield from self._balanced(body)
            elif kind == "trailer":
                self._totals.take_trailer(split_fields(body, self._dialect))
            elif kind == "unknown":
                yield _Run(body, UNKNOWN_TYPE)

    def _balanced(self, run: bytes) -> Iterator[_Run]:
        """The run, less the lines whose quotes do not close, when a look says there may be some."""
        if self._quoted is None or not self._quoted.is_needed_for(run):
            yield _Run(run)
            return
        position = 0
        while position < len(run):
            end = self._quoted.last_record_end(run, position)
            if self._quoted.one_record_end(run, end) == len(run):
                end = len(run)
            if end > position:
                yield _Run(run[position:end])
                position = end
                continue
            if self._dialect.embedded_newlines:
                raise PermanentError(
                    "unbalanced_quote", "a quote opens in the last records and never closes"
                )
            match = _LINE_END.search(run, position)
            end = match.end() if match else len(run)
            yield _Run(run[position:end], self._why_unbalanced(run[position:end]))
            position = end

    def _why_unbalanced(self, line: bytes) -> str:
        quote = self._dialect.quote.encode()
        return "unbalanced_quote" if quote and quote in line else "dangling_escape"

    def _batch(self, runs: Sequence[_Run], first_row: int) -> TextRecordBatch:
        tables: list[pa.Table] = []
        numbers: list[pa.Array] = []
        malformed: list[MalformedRow] = []
        row, is_marked = first_row, False
        for run in runs:
            if run.malformed:
                malformed.append(MalformedRow(row, run.malformed))
                if run.malformed != UNKNOWN_TYPE:
                    self._totals.add_unreadable()
                row += 1
                continue
            text = _marked(run.body)
            is_marked = is_marked or _UNDECODABLE_BYTES in text
            table, wrong_ordinals = self._parse(text)
            total = table.num_rows + len(wrong_ordinals)
            malformed += [MalformedRow(row + at, "wrong_field_count") for at in wrong_ordinals]
            numbers.append(_numbers_without(row, total, wrong_ordinals))
            tables.append(table)
            self._totals.add(table, total)
            row += total
        table = _concat(tables, self._wanted())
        row_numbers = pa.concat_arrays(numbers) if numbers else pa.array([], pa.int64())
        if is_marked:
            table, row_numbers, undecodable = _decodable(table, row_numbers)
            malformed += [MalformedRow(number, "invalid_encoding") for number in undecodable]
        records = _RawRecords(runs, self._quoted if self._dialect.embedded_newlines else None)
        redactor = self._redactor
        of_other_types = {row.row_number for row in malformed if row.reason == UNKNOWN_TYPE}
        return TextRecordBatch(
            file_columns=self._names,
            columns=_one_batch(table),
            row_numbers=row_numbers,
            malformed=sorted(malformed, key=lambda item: item.row_number),
            raw_record=lambda number: redactor.redacted(
                records.all[number - first_row], has_file_columns=number not in of_other_types
            ),
        )

    @cached_property
    def _redactor(self) -> RecordRedactor:
        return RecordRedactor(self._dialect.delimiter, self._quoted, self._names)

    def _wanted(self) -> list[str]:
        """The columns that the layout names, in the file's order."""
        named = set(self._layout.named_columns)
        return [name for name in self._names if name in named]

    def _parse(self, text: bytes) -> tuple[pa.Table, list[int]]:
        if self._dialect.has_plain_delimiter:
            return _parse_plain(text, self._names, self._wanted(), self._dialect)
        return _parse_long_delimiter(text, self._names, self._wanted(), self._dialect.delimiter)


@dataclass(frozen=True)
class _RawRecords:
    """The original bytes of a block's records, split only when somebody asks."""

    runs: Sequence[_Run] = field(repr=False)
    grammar: QuotedGrammar | None

    @cached_property
    def all(self) -> list[bytes]:
        records: list[bytes] = []
        for run in self.runs:
            if run.malformed:
                records.append(_LINE_END.sub(b"", run.body))
            else:
                records += self._split(run.body)
        return records

    def _split(self, body: bytes) -> list[bytes]:
        if self.grammar is None:
            return [line for line in _LINE_END.split(body) if line]
        records, start = [], 0
        while start < len(body):
            end = self.grammar.one_record_end(body, start) or len(body)
            record = body[start:end].rstrip(b"\r\n")
            if record:
                records.append(record)
            start = end
        return records


class RecordTypes:
    """Tells header, detail and trailer lines of a block apart."""

    def __init__(self, records: Records) -> None:
        self._header = records.header.encode()
        self._detail = records.detail.encode()
        self._trailer = records.trailer.encode()
        special = [re.escape(mark) for mark in (self._header, self._trailer) if mark]
        exceptions = (
            rb"(?!" + re.escape(self._detail) + rb")"
            if self._detail
            else b"(?:%s)" % b"|".join(special)
        )
        self._exception = re.compile(rb"^" + exceptions + rb"[^\n]*(?:\n|\Z)", re.MULTILINE)
        self._exception_by_cr = re.compile(  # five times slower
            rb"(?:^|(?<=\r)(?!\n))" + exceptions + rb"[^\r\n]*(?:\r\n|\n|\r|\Z)", re.MULTILINE
        )

    def without_leading_headers(self, block: bytes) -> bytes:
        """The block behind its header records: the line of column names comes first then."""
        while self._header and block.startswith(self._header):
            match = _LINE_END.search(block)
            block = block[match.end() :].lstrip(b"\r\n") if match else b""
        return block

    def split(self, block: bytes) -> Iterator[tuple[bytes, str]]:
        """Runs of detail lines, and every other line alone with its kind; blank lines left out."""
        position = 0
        exception = self._exception_by_cr if _LONE_CR.search(block) else self._exception
        for match in exception.finditer(block):
            yield from _details(block[position : match.start()])
            position = match.end()
            kind = self._kind(match[0])
            if kind:
                yield match[0], kind
        yield from _details(block[position:])

    def _kind(self, line: bytes) -> str:
        if self._trailer and line.startswith(self._trailer):
            return "trailer"
        if self._header and line.startswith(self._header):
            return "header"
        return "unknown" if line.strip(b"\r\n") else ""


def _details(lines: bytes) -> Iterator[tuple[bytes, str]]:
    if lines.strip(b"\r\n"):
        yield lines, "detail"


def split_fields(line: bytes, dialect: Delimited) -> list[str]:
    """The fields of one line."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if not dialect.quote or not dialect.has_plain_delimiter:
        return text.split(dialect.delimiter)
    try:
        rows = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=dialect.delimiter,
            quotechar=dialect.quote,
            escapechar=dialect.escape or None,
        )
        return next(rows, [])
    except csv.Error:
        raise PermanentError("malformed_record", "a header or trailer cannot be split") from None


def column_names(header: bytes, dialect: Delimited) -> tuple[str, ...]:
    """The names in a header record; an empty one is called by its place, `column_<n>`."""
    cells = split_fields(header, dialect)
    if len(cells) > MAX_COLUMNS:
        raise PermanentError("too_many_columns", f"more than {MAX_COLUMNS} columns")
    return tuple(cell.strip() or f"column_{at}" for at, cell in enumerate(cells, start=1))


def _check_columns(names: Sequence[str], layout: Layout) -> None:
    for at, name in enumerate(names, start=1):
        if could_hold_pan(name):
            raise PermanentError(
                "header_looks_like_data",
                f"column {at} of the header holds a long number: set format.header = false",
            )
    missing = [name for name in layout.named_columns if name not in names]
    if missing:
        raise PermanentError("missing_column", f"not in the header: {', '.join(missing)}")
    twice = [name for name in layout.named_columns if names.count(name) > 1]
    if twice:
        raise PermanentError("duplicate_column", f"twice in the header: {', '.join(twice)}")


def _marked(body: bytes) -> bytes:
    """The bytes as valid UTF-8, undecodable ones replaced by a mark that `_decodable` finds."""
    if body.isascii():
        return body
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("utf-8", _MARK_ERRORS).encode("utf-8")
    return body


def _mark_undecodable(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError):
        return _UNDECODABLE, error.end
    raise error


_MARK_ERRORS = "pantok.mark"
codecs.register_error(_MARK_ERRORS, _mark_undecodable)


def _parse_plain(
    text: bytes, names: Sequence[str], wanted: Sequence[str], dialect: Delimited
) -> tuple[pa.Table, list[int]]:
    wrong: list[int] = []
    places = {name: str(names.index(name)) for name in wanted}  # other names may occur twice
    if text.startswith(codecs.BOM_UTF8):
        text = b"\n" + text  # at the start the parser would take a mark away, here it is content

    def note(row: pyarrow.csv.InvalidRow) -> str:
        wrong.append(row.number - 1)
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(text),
            pyarrow.csv.ReadOptions(
                use_threads=False,
                block_size=len(text) + 1,
                column_names=[str(at) for at in range(len(names))],
            ),
            pyarrow.csv.ParseOptions(
                delimiter=dialect.delimiter,
                quote_char=dialect.quote or False,
                double_quote=bool(dialect.quote),
                escape_char=dialect.escape or False,
                newlines_in_values=True,
                invalid_row_handler=note,
            ),
            pyarrow.csv.ConvertOptions(
                include_columns=list(places.values()),
                column_types=dict.fromkeys(places.values(), pa.string()),
                check_utf8=False,
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        raise PermanentError("malformed_file", "the delimited parser cannot go on") from None
    return table.rename_columns(list(wanted)), wrong


def _parse_long_delimiter(
    text: bytes, names: Sequence[str], wanted: Sequence[str], delimiter: str
) -> tuple[pa.Table, list[int]]:
    lines = pa.array([line for line in _LINE_END.split(text) if line], pa.binary())
    fields = pc.split_pattern(lines.cast(pa.string()), delimiter)
    fits = pc.equal(pc.list_value_length(fields), len(names))
    wrong = [at for at, fit in enumerate(fits.to_pylist()) if not fit]
    fitting = fields.filter(fits)
    columns = [pc.list_element(fitting, names.index(name)) for name in wanted]
    return pa.table(columns, names=list(wanted)), wrong


def _numbers_without(first: int, total: int, wrong_ordinals: Sequence[int]) -> pa.Array:
    numbers = pa.arange(first, first + total)
    if not wrong_ordinals:
        return numbers
    skipped = pa.array([first + at for at in wrong_ordinals], pa.int64())
    return numbers.filter(pc.invert(pc.is_in(numbers, value_set=skipped)))


def _concat(tables: Sequence[pa.Table], names: Sequence[str]) -> pa.Table:
    if tables:
        return pa.concat_tables(tables)
    return pa.schema([(name, pa.string()) for name in names]).empty_table()


def _decodable(table: pa.Table, row_numbers: pa.Array) -> tuple[pa.Table, pa.Array, list[int]]:
    """The rows without undecodable bytes, their numbers, and the numbers of the other rows."""
    bad: pa.ChunkedArray | None = None
    for column in table.columns:
        hits = pc.match_substring(column, _UNDECODABLE)
        bad = hits if bad is None else pc.or_(bad, hits)
    if bad is None or not pc.any(bad).as_py():
        return table, row_numbers, []
    good = pc.invert(bad)
    undecodable = row_numbers.filter(bad.combine_chunks()).to_pylist()
    return table.filter(good), row_numbers.filter(good.combine_chunks()), undecodable


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    table = table.combine_chunks()
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
