"""Delimited text: its delimiter, quoting, header and record types."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.guard import could_hold_pan
from pipeline.drafting.encodings import decoded
from pipeline.drafting.reading import cells_by_reader
from pipeline.drafting.record_types import RecordLines, record_lines, settings_of
from pipeline.drafting.sample import Proposal, Sample
from pipeline.drafting.typed_lines import TypedLines, typed_lines
from pipeline.readers.auto import is_name, likeliest_delimiter

_QUOTED_FIELD = re.compile(r'(?:^|[,;\t|~^])"', re.MULTILINE)
_LINE_END = re.compile(r"\r\n|\n|\r")
_MAX_NAMES = 2000
_TYPES_NOTE = "record types were told by their first field, and columns that are empty left out"
MAX_PREAMBLE_ROWS = 20
MIN_ALIKE = 0.95  # of the records behind a preamble have as many fields


def detect_delimited(sample: Sample) -> Proposal | None:
    """Any text is delimited: with one column, if nothing parts it."""
    found = decoded(sample)
    if found is None or not found[0].strip():
        return None
    text, encoding = found
    settings: dict[str, object] = {"type": "delimited", "delimiter": likeliest_delimiter(text)}
    settings |= _quoting(text)
    rows = _rows(text, settings)
    if not rows or max(map(len, rows)) > _MAX_NAMES:
        return None
    if _has_embedded_newlines(rows, str(settings["delimiter"])):
        settings["embedded_newlines"] = True
    else:
        rows = [row for row in rows if not _has_line_end(row)]
    if _has_blanks_behind_quotes(text, settings):
        settings["trim"] = True
    if typed := typed_lines(rows, is_whole=sample.is_whole):
        if any(row[0] != row[0].strip() for row in rows):
            settings["trim"] = True
        return _of_types(text, settings | {"header": False}, encoding, typed)
    lines = record_lines(rows, str(settings["delimiter"]), is_whole=sample.is_whole)
    if not lines.header and (preamble := _preamble_rows(rows)):
        settings["preamble_lines"] = _physical_lines(text, preamble)
        lines = RecordLines(rows[preamble:])
    names, settings["header"] = _names(lines.details)
    if not settings["header"]:
        settings["fields"] = list(names)
    once = [name for name in names if names.count(name) == 1]
    reading = {**settings, "encoding": "utf-8"}
    cells = cells_by_reader(io.BytesIO(text.encode()), reading, settings_of(lines, ()), once)
    if cells is None:
        return None
    records = settings_of(lines, _totals(lines, cells, is_whole=sample.is_whole))
    return Proposal(settings | {"encoding": encoding}, cells, records, _notes(lines, names))


def _of_types(
    text: str, settings: Mapping[str, object], encoding: str, typed: TypedLines
) -> Proposal | None:
    """Records of many types, with the columns that are filled."""
    records = typed.settings()
    names = list(dict.fromkeys(name for fields in typed.fields.values() for name in fields))
    reading = {**settings, "encoding": "utf-8"}
    cells = cells_by_reader(io.BytesIO(text.encode()), reading, records, names)
    if cells is None:
        return None
    columns = {name: pc.fill_null(cells.column(name), "") for name in cells.schema.names}
    filled = {name: column for name, column in columns.items() if _is_filled(column)}
    cells = pa.RecordBatch.from_arrays(list(filled.values()), names=list(filled))
    return Proposal(dict(settings) | {"encoding": encoding}, cells, records, (_TYPES_NOTE,))


def _is_filled(column: pa.Array) -> bool:
    return bool(pc.any(pc.not_equal(pc.utf8_trim_whitespace(column), "")).as_py())


def _has_blanks_behind_quotes(text: str, settings: Mapping[str, object]) -> bool:
    quote, delimiter = re.escape(str(settings["quote"])), re.escape(str(settings["delimiter"]))
    pattern = rf"{quote} +(?:{delimiter}|\r|$)"
    return bool(quote) and bool(re.search(pattern, text, re.MULTILINE))


def _preamble_rows(rows: Sequence[Sequence[str]]) -> int:
    """How many rows stand before the one that names the columns, if it evidently does."""
    width, often = Counter(map(len, rows)).most_common(1)[0]
    start = next(at for at, row in enumerate(rows) if len(row) == width)
    is_evident = 0 < start <= MAX_PREAMBLE_ROWS and often >= MIN_ALIKE * (len(rows) - start)
    if not is_evident or width < 2 or any(map(_has_line_end, rows[: start + 1])):
        return 0
    return start if all(map(is_name, rows[start])) and len(rows) > start + 1 else 0


def _physical_lines(text: str, rows: int) -> int:
    """How many lines of the file the first rows take, with the blank ones between them."""
    filled = [at for at, line in enumerate(_LINE_END.split(text)) if line]
    return filled[rows]


def _quoting(text: str) -> dict[str, object]:
    if '"' in text and not _QUOTED_FIELD.search(text):
        return {"quote": ""}
    return {"quote": '"', "escape": "\\"} if '\\"' in text else {"quote": '"'}


def _rows(text: str, settings: Mapping[str, object]) -> list[list[str]]:
    quote, escape = str(settings["quote"]), str(settings.get("escape", ""))
    try:
        rows = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=str(settings["delimiter"]),
            quotechar=quote or None,
            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
            escapechar=escape or None,
        )
        return [row for row in rows if row]
    except csv.Error:
        return []


def _has_embedded_newlines(rows: Sequence[Sequence[str]], delimiter: str) -> bool:
    """Whether line ends within quotes leave records whole; else those quotes never closed."""
    usual = Counter(map(len, rows)).most_common(1)[0][0]
    whole = [
        len(row) == usual and not any(_holds_record(cell, delimiter, usual) for cell in row)
        for row in rows
        if _has_line_end(row)
    ]
    return sum(whole) > len(whole) / 2


def _holds_record(cell: str, delimiter: str, width: int) -> bool:
    """Whether a line of the cell is a record by itself."""
    return any(line.count(delimiter) == width - 1 > 0 for line in cell.splitlines()[1:])


def _has_line_end(row: Sequence[str]) -> bool:
    return any("\n" in cell or "\r" in cell for cell in row)


def _names(rows: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], bool]:
    """The names of the columns, and whether the first record gives them."""
    first = [cell.strip() for cell in rows[0]]
    filled = [cell for cell in first if cell]
    width = Counter(map(len, rows)).most_common(1)[0][0]
    is_header = (
        len(rows) > 1
        and (len(first) > 1 or width == 1)
        and bool(filled)
        and all(map(is_name, filled))
        and not any(map(could_hold_pan, filled))
    )
    if is_header:
        return tuple(cell or f"column_{at}" for at, cell in enumerate(first, 1)), True
    return tuple(f"column_{at}" for at in range(1, width + 1)), False


def _totals(
    lines: RecordLines, cells: pa.RecordBatch, *, is_whole: bool
) -> tuple[tuple[str, object], ...]:
    """Which fields of the trailer hold the number of details and the sum of a column."""
    if not is_whole or not lines.trailer_fields:
        return ()
    numbers = [_number(field) for field in lines.trailer_fields]
    totals: list[tuple[str, object]] = []
    if lines.detail_count in numbers:
        totals.append(("count_field", numbers.index(Decimal(lines.detail_count)) + 1))
    for name, column in zip(cells.schema.names, cells.columns, strict=True):
        values = [_number(cell) for cell in column.to_pylist()]
        total = None if None in values else sum(value for value in values if value is not None)
        if total and total in numbers and total != lines.detail_count:
            totals += [("sum_field", numbers.index(Decimal(total)) + 1), ("sum_column", name)]
            break
    return tuple(totals)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _notes(lines: RecordLines, names: Sequence[str]) -> tuple[str, ...]:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    notes = [f"{len(twice)} names stand twice in the header: left out"] if twice else []
    if lines.header:
        notes.append("the first record begins differently: record types were told apart")
    return tuple(notes)
