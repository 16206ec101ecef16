"""The runs of a block of delimited text, parsed and put together as one record batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.formats import as_delimited
from pipeline.core.layouts import Layout
from pipeline.readers.control_totals import Details
from pipeline.readers.delimited_parser import Parsed, parse
from pipeline.readers.delimited_runs import UNKNOWN_TYPE, Block, Run
from pipeline.readers.framing import QuotedGrammar
from pipeline.readers.line_types import LINE_END
from pipeline.readers.records import MalformedRow, TextRecordBatch
from pipeline.readers.redaction import RecordRedactor
from pipeline.readers.undecodable import UNDECODABLE_BYTES, decodable, marked


@dataclass(frozen=True, slots=True)
class ParsedBlock:
    """The records of a block by type; `unbalanced` are those that cannot be split into fields.

    `is_marked` says that there are bytes among them that are no text.
    """

    details: Sequence[Details]
    unbalanced: Sequence[Details]
    is_marked: bool


class RunParser:
    """Parses the runs of a file whose columns have these names."""

    def __init__(
        self, layout: Layout, quoted: QuotedGrammar | None, names: tuple[str, ...]
    ) -> None:
        self._layout = layout
        self._dialect = as_delimited(layout.format)
        self._quoted = quoted
        self._names = names

    def parse(self, block: Block) -> ParsedBlock:
        """The cells of each type's records."""
        details: list[Details] = []
        is_marked = False
        for name, runs in block.by_type.items():
            text = marked(b"".join([run.lines.body for run in runs]))
            is_marked = is_marked or UNDECODABLE_BYTES in text
            details.append(self._details(name, runs, text))
        return ParsedBlock(details, list(self._unbalanced(block)), is_marked)

    def batch(self, block: Block, parsed: ParsedBlock) -> TextRecordBatch:
        """The records as they follow one another."""
        malformed = [MalformedRow(run.first_row, run.malformed) for run in block.malformed]
        malformed += [
            MalformedRow(row, "wrong_field_count")
            for each in parsed.details
            for row in each.unreadable
        ]
        table, row_numbers = self._in_order(parsed.details)
        if parsed.is_marked:
            table, row_numbers, undecodable = decodable(table, row_numbers)
            malformed += [MalformedRow(number, "invalid_encoding") for number in undecodable]
        records = _RawRecords(block.runs, self._quoted if not self._dialect.has_lines else None)
        first_row = block.runs[0].first_row
        return TextRecordBatch(
            file_columns=self._names,
            columns=_one_batch(table),
            row_numbers=row_numbers,
            malformed=sorted(malformed, key=lambda item: item.row_number),
            raw_record=lambda number: self._redacted(*records.all[number - first_row]),
        )

    def _details(self, name: str, runs: Sequence[Run], text: bytes) -> Details:
        names = self._names_of(name)
        wanted = [each for each in names if each in self._wanted] or [names[0]]
        parsed = parse(text, names, wanted, self._dialect, self._quoted)
        table = _trimmed(parsed.table) if self._dialect.trim else parsed.table
        numbers = _row_numbers(runs, parsed)
        if parsed.ordinals is None:
            return Details(name, names, table, numbers, ())
        unreadable = numbers.take(pa.array(parsed.wrong, pa.int64())).to_pylist()
        return Details(name, names, table, numbers.take(parsed.ordinals), unreadable)

    def _unbalanced(self, block: Block) -> Iterator[Details]:
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

    runs: Sequence[Run] = field(repr=False)
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


def _row_numbers(runs: Sequence[Run], parsed: Parsed) -> pa.Array:
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
