"""Delimited text: any delimiter, quoting, header or none, record types, control totals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from pipeline.core.formats import Delimited, as_delimited
from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError
from pipeline.model import START, Position
from pipeline.readers.column_names import check_columns, column_names
from pipeline.readers.control_totals import ControlTotals
from pipeline.readers.delimited_rows import RunParser
from pipeline.readers.delimited_runs import RunSorter, quoted_grammar
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
from pipeline.readers.line_types import LINE_END, LineSorter
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.surroundings import skip_preamble, without_last_lines


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
    grammar = quoted_grammar(dialect) if dialect.embedded_newlines else None
    if grammar is None:
        return not LINE_END.search(record)
    return grammar.one_record_end(record, 0) == len(record)


def _grammar(dialect: Delimited) -> LineGrammar | QuotedGrammar:
    return quoted_grammar(dialect) if dialect.embedded_newlines else LineGrammar()


class _DelimitedReader:
    """Turns blocks into record batches, and remembers what spans blocks."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._dialect = as_delimited(layout.format)
        has_grammar = self._dialect.quote or self._dialect.escape
        self._quoted = quoted_grammar(self._dialect) if has_grammar else None
        self._names = layout.stated_fields
        has_types = layout.records is not None or self._dialect.comments
        self._types = LineSorter(layout.records, self._dialect) if has_types else None
        marks = {name: each.number_marks for name, each in layout.columns.items()}
        self._totals = ControlTotals(layout.records, marks)
        self._sorter = RunSorter(
            self._dialect, self._quoted, self._types, keeps_marks=self._totals.are_stated
        )
        self._next_row = 1
        self._held_back = b""
        self._is_empty = True
        self.offset_bytes = 0

    @cached_property
    def _parser(self) -> RunParser:
        """Made once the names of the columns are known."""
        return RunParser(self._layout, self._quoted, self._names)

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
        records = text if self._names else self._behind_column_names(text)
        block = self._sorter.sorted(records, self._next_row)
        if not block.runs:
            self._totals.take([], block.marks)
            return None
        parsed = self._parser.parse(block)
        self._totals.take([*parsed.details, *parsed.unbalanced], block.marks)
        batch = self._parser.batch(block, parsed)
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
        if self._types is not None:
            block = self._types.without_leading_lines(block)
        if not block:
            return block
        end = self._quoted.one_record_end(block, 0) if self._quoted else None
        if end is None:
            match = LINE_END.search(block)
            end = match.end() if match else len(block)
        self._names = column_names(block[:end], self._dialect)
        check_columns(self._names, self._layout)
        return block[end:]
