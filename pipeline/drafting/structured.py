"""Formats that name their columns: JSON, Parquet, ORC, Avro, workbooks."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq

from pipeline.core.columns import Column
from pipeline.core.guard import could_hold_pan
from pipeline.drafting.encodings import decoded
from pipeline.drafting.sample import Proposal, Sample
from pipeline.errors import PermanentError
from pipeline.readers.arrow_text import flattened, is_numeric, text_of_column
from pipeline.readers.avro import columns_of
from pipeline.readers.foreign import library

MAX_ROWS = 5_000
MAX_COLUMNS = 2_000
MAX_ELEMENTS = 8  # of a list in a record that get columns

_PARQUET, _ORC, _AVRO = b"PAR1", b"ORC", b"Obj\x01"
_ZIP, _WORKBOOK = b"PK\x03\x04", b"xl/"
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?|[{}\[\]]')
_OBJECT = re.compile(r"\s*\{")
_COMMA = re.compile(r"\s*,\s*")


class _Number(str):
    """A number, with all of its digits."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_Number)


def detect_json_lines(sample: Sample) -> Proposal | None:
    """A JSON object on each line."""
    found = decoded(sample)
    if found is None or found[1] != "utf-8" or not found[0].lstrip().startswith("{"):
        return None
    lines = [line for line in found[0].splitlines() if line.strip()][:MAX_ROWS]
    records = [record for record in map(_object, lines) if record is not None]
    if not records or len(records) < len(lines) * 0.9:
        return None
    if len(lines) == 1 and _place_of_array(lines[0]) is not None:
        return None
    return _of_records({"type": "jsonl"}, records)


def detect_json_array(sample: Sample) -> Proposal | None:
    """One array of JSON objects, the document itself or under a name in it."""
    found = decoded(sample)
    place = _place_of_array(found[0]) if found else None
    if found is None or place is None or found[1] != "utf-8":
        return None
    path, start = place
    records = list(_objects(found[0], start))[:MAX_ROWS]
    if not records:
        return None
    return _of_records({"type": "json"} | ({"path": path} if path else {}), records)


def _place_of_array(text: str) -> tuple[str, int] | None:
    """The dotted path of the first array of objects, and where its first object begins."""
    names: list[str] = []
    name = ""
    for token in _TOKEN.finditer(text):
        if token[2]:
            name = token[1]
        elif token[0] == "{":
            names.append(name)
        elif token[0] == "}" and names:
            names.pop()
        elif token[0] == "[" and (first := _OBJECT.match(text, token.end())):
            return ".".join([*names[1:], name]) if names else "", first.end() - 1
    return None


def _object(line: str) -> dict[str, Any] | None:
    try:
        record = _DECODER.decode(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _objects(text: str, at: int) -> Iterator[dict[str, Any]]:
    """The objects of an array from there on, as far as the sample goes."""
    while True:
        try:
            record, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        if isinstance(record, dict):
            yield record
        comma = _COMMA.match(text, at)
        if comma is None:
            return
        at = comma.end()


def _of_records(settings: Mapping[str, object], records: Sequence[Mapping[str, Any]]) -> Proposal:
    """The values by dotted path; long numbers are no names."""
    rows = [dict(_flattened(record)) for record in records]
    names = list(dict.fromkeys(name for row in rows for name in row))[:MAX_COLUMNS]
    columns = [[row.get(name, "") for row in rows] for name in names]
    numbers = [
        name
        for name, cells in zip(names, columns, strict=True)
        if any(isinstance(cell, _Number) for cell in cells)
    ]
    arrays = [pa.array(list(map(str, cells)), pa.string()) for cells in columns]
    cells = pa.RecordBatch.from_arrays(arrays, names=names)
    return Proposal(settings, cells, numbers=frozenset(numbers))


def _flattened(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value[:MAX_ELEMENTS])
        for name, inner in pairs:
            if not could_hold_pan(str(name)):
                yield from _flattened(inner, f"{path}.{name}" if path else str(name))
    elif path:
        text = "" if value is None else value
        yield path, str(text).lower() if isinstance(text, bool) else text


def detect_parquet(sample: Sample) -> Proposal | None:
    """Apache Parquet, by its magic number."""
    if not sample.head.startswith(_PARQUET):
        return None
    try:
        batches = pq.ParquetFile(sample.as_file()).iter_batches(batch_size=MAX_ROWS)
        return _typed({"type": "parquet"}, next(batches, None))
    except (pa.ArrowException, OSError):
        return None


def detect_orc(sample: Sample) -> Proposal | None:
    """Apache ORC, by its magic number."""
    if not sample.head.startswith(_ORC):
        return None
    try:
        return _typed({"type": "orc"}, pyarrow.orc.ORCFile(sample.as_file()).read_stripe(0))
    except (pa.ArrowException, OSError):
        return None


def detect_avro(sample: Sample) -> Proposal | None:
    """An Avro object container file, by its magic number."""
    if not sample.head.startswith(_AVRO):
        return None
    fastavro = library("fastavro")
    try:
        reader = fastavro.reader(sample.from_start())
        names = list(columns_of(reader.writer_schema))[:MAX_COLUMNS]
        records = list(itertools.islice(reader, MAX_ROWS))
        rows = [{name: _cell_at(each, name) for name in names} for each in records]
        return _of_records({"type": "avro"}, rows)
    except PermanentError:  # its schema is none of records
        return None
    except (ValueError, EOFError, TypeError, KeyError, IndexError):  # it is damaged
        return None


def _cell_at(record: Any, name: str) -> Any:
    """What stands in a column of a record; a list or a map as JSON text, as the reader shows it."""
    value = record
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    plain = _plain(value)
    return json.dumps(plain) if isinstance(plain, dict | list) else plain


def _plain(value: Any) -> Any:
    """The value as JSON would have it, numbers with all of their digits."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, bool) or value is None:
        return value
    return _Number(value) if isinstance(value, int | float | Decimal) else str(value)


def detect_xlsx(sample: Sample) -> Proposal | None:
    """The first sheet of a workbook, whose first row names the columns."""
    if not sample.head.startswith(_ZIP) or _WORKBOOK not in sample.head:
        return None
    calamine = library("python_calamine")
    try:
        workbook = calamine.CalamineWorkbook.from_filelike(sample.as_file())
        sheets = {name: workbook.get_sheet_by_name(name) for name in workbook.sheet_names}
        name, sheet = next((each for each in sheets.items() if each[1].height > 1), ("", None))
        rows = sheet.to_python(skip_empty_area=False, nrows=MAX_ROWS) if sheet is not None else []
    except (calamine.CalamineError, ValueError, OSError):
        return None
    header = _header_row(rows)
    names = list(map(str, rows[header])) if rows else []
    if not names or any(map(could_hold_pan, [name, *names])):
        return None
    records = [
        {column: _sheet_cell(cell) for column, cell in zip(names, row, strict=False) if column}
        for row in rows[header + 1 :]
    ]
    settings: dict[str, object] = {"type": "xlsx"}
    settings |= {"sheet": name} if len(sheets) > 1 else {}
    settings |= {"header_row": header + 1} if header else {}
    return _of_records(settings, records) if records else None


def _header_row(rows: Sequence[Sequence[Any]]) -> int:
    """Which row names the columns, from 0: the first that is as full as most; titles are not."""
    filled = [sum(cell != "" for cell in row) for row in rows]
    usual = Counter(filled).most_common(1)[0][0] if filled else 0
    return next((at for at, count in enumerate(filled[:20]) if count >= usual), 0)


def _sheet_cell(cell: Any) -> Any:
    """A whole number is shown as one: a sheet knows no others than floating ones."""
    return _plain(int(cell) if isinstance(cell, float) and cell.is_integer() else cell)


def _typed(settings: Mapping[str, object], batch: pa.RecordBatch | None) -> Proposal | None:
    """The columns that can be shown as text, those within structures by dotted path."""
    if batch is None:
        return None
    table = flattened(batch.slice(0, MAX_ROWS))
    often = Counter(table.schema.names)
    names = [name for name in often if often[name] == 1 and not could_hold_pan(name)]
    columns = {name: _as_text(table.column(name), name) for name in names[:MAX_COLUMNS]}
    kept = {name: cells for name, cells in columns.items() if cells is not None}
    numbers = [name for name in kept if is_numeric(table.schema.field(name).type)]
    cells = pa.RecordBatch.from_arrays(list(kept.values()), names=list(kept))
    return Proposal(settings, cells, numbers=frozenset(numbers))


def _as_text(column: pa.ChunkedArray, name: str) -> pa.Array | None:
    """The cells as the reader shows them, a list or a map as JSON text; None if some are none."""
    texts, unreadable = text_of_column(column.combine_chunks(), Column(role="keep"), name)
    return None if unreadable else texts
