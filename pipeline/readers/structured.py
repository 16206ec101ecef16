"""Records of named values, such as JSON objects, made into columns of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.core.columns import Column
from pipeline.core.guard import could_hold_pan
from pipeline.core.layouts import Layout
from pipeline.core.receipts import MAX_LISTED_COLUMNS
from pipeline.core.sensitive import is_sensitive_name
from pipeline.errors import PermanentError
from pipeline.model import Position
from pipeline.readers.numbers import is_number, pan_of_number
from pipeline.readers.records import MalformedRow, TextRecordBatch
from pipeline.readers.rendering import (
    Numeral,
    UnreadableValueError,
    csv_record,
    json_text,
    value_text,
)

OTHER_FIELDS = "(other fields)"  # of a rejected record, as one JSON object

_LONG_NUMBER = "[long number]"
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that holds no values, and why; `text` is as much of it as may be kept."""

    reason: str
    text: str = field(default="", repr=False)


Record = Mapping[str, Any] | Unreadable


class StructuredRecords:
    """Turns records into record batches.

    `file_columns` are given where the file names its columns once; else every record may have its
    own, and what the layout does not name is kept together. A name with dots reaches into
    values: `payment.card.number`, `cards.0.number`. `largest` is the largest number that did not
    lose digits.
    """

    def __init__(
        self, layout: Layout, largest: int, file_columns: Sequence[str] | None = None
    ) -> None:
        self._layout = layout
        self._largest = largest
        self._file_columns = file_columns
        named = layout.named_columns
        self._named = [each for each in file_columns if each in named] if file_columns else named
        self._seen = _SeenNames(self._named)
        self._is_first = True

    def batch(
        self, records: Sequence[Record], first_row: int, end: Position | None
    ) -> TextRecordBatch:
        """The records, of which the first has that row number.

        Raises `PermanentError` `missing_column` when the first ones know no column of PANs.
        """
        malformed = {
            at: MalformedRow(first_row + at, each.reason)
            for at, each in enumerate(records)
            if isinstance(each, Unreadable)
        }
        good = [at for at in range(len(records)) if at not in malformed]
        if self._file_columns is None:
            self._seen.note([records[at] for at in good])  # type: ignore[misc]
        columns: dict[str, list[str]] = {}
        for name in self._named:
            columns[name] = self._cells(name, records, good, first_row, malformed)
        self._is_first = False
        kept = [at for at, place in enumerate(good) if place not in malformed]
        return TextRecordBatch(
            file_columns=self._file_columns or self._seen.names,
            columns=pa.RecordBatch.from_arrays(
                [_strings([cells[at] for at in kept]) for cells in columns.values()],
                names=list(columns),
            ),
            row_numbers=pa.array([first_row + good[at] for at in kept], pa.int64()),
            malformed=[malformed[at] for at in sorted(malformed)],
            raw_record=lambda number: self._rendered(records[number - first_row]),
            end=end,
            record_columns=self._record_columns,
        )

    @property
    def _record_columns(self) -> Sequence[str]:
        return self._file_columns or (*self._named, OTHER_FIELDS)

    def _cells(
        self,
        name: str,
        records: Sequence[Record],
        good: Sequence[int],
        first_row: int,
        malformed: dict[int, MalformedRow],
    ) -> list[str]:
        """The column's cells as text; a row that has none that could be read gets its reason."""
        value_at = _getter(name)
        values = [value_at(records[at]) for at in good]
        column = self._layout.columns.get(name, Column(role="drop"))
        self._refuse_missing(name, column, values)
        is_pan = column.role == "pan"
        plain = str if is_pan else (str, Numeral)
        cells = [value if isinstance(value, plain) else None for value in values]
        if is_pan:
            cells = [None if isinstance(cell, Numeral) else cell for cell in cells]
        text_of = self._pan_text if is_pan else _cell_text
        for place in _places_to_look_at(cells):
            cells[place], reason = text_of(values[place], column)
            if reason is not None:
                at = good[place]
                malformed.setdefault(at, MalformedRow(first_row + at, reason, name))
        return cells  # type: ignore[return-value]

    def _refuse_missing(self, name: str, column: Column, values: Sequence[Any]) -> None:
        is_missing = self._is_first and bool(values) and all(each is _MISSING for each in values)
        if is_missing and column.role == "pan" and column.empty == "reject":
            raise PermanentError("missing_column", f"not in the first records: {name}")

    def _pan_text(self, value: Any, column: Column) -> tuple[str, str | None]:
        if is_number(value):
            return pan_of_number(value, column, self._largest)
        return _cell_text(value, column)

    def _rendered(self, record: Record) -> bytes:
        """All fields of a record as comma-separated text, less the sensitive ones."""
        if isinstance(record, Unreadable):
            blank = [""] * (len(self._record_columns) - 1)
            return csv_record([*blank, record.text])
        names = self._file_columns or self._named
        cells = [_rendered_cell(record, name) for name in names]
        if self._file_columns is None:
            cells.append(json_text(record, without=frozenset(self._named)))
        return csv_record(cells)


class _SeenNames:
    """The names that the records of a file use, in the order of their first use."""

    def __init__(self, named: Sequence[str]) -> None:
        self.names: list[str] = list(named)
        self._known: set[str] = set(named)
        self._by_prefix: dict[str, set[str]] = {}
        self._inner: dict[str, set[str]] = {}

    def note(self, records: Sequence[Mapping[str, Any]]) -> None:
        for record in records:
            self._note(record, "")

    def _note(self, record: Mapping[str, Any], prefix: str) -> None:
        known = self._by_prefix.setdefault(prefix, set())
        inner = self._inner.setdefault(prefix, set())
        if not record.keys() <= known:
            self._add_new(record, prefix, known, inner)
        for name in inner:
            if type(value := record.get(name)) is dict:
                self._note(value, f"{prefix}{name}.")

    def _add_new(
        self, record: Mapping[str, Any], prefix: str, known: set[str], inner: set[str]
    ) -> None:
        for name in record:
            if name in known or len(self.names) >= MAX_LISTED_COLUMNS:
                continue
            known.add(name)
            if isinstance(record[name], dict):
                inner.add(name)
            else:
                self._add(f"{prefix}{name}")

    def _add(self, name: str) -> None:
        name = _LONG_NUMBER if could_hold_pan(name) else name
        if name not in self._known:
            self._known.add(name)
            self.names.append(name)


def _places_to_look_at(cells: Sequence[str | None]) -> Sequence[int]:
    """The cells that are no text yet, and all of them when some text is none that can be kept."""
    places = [place for place, cell in enumerate(cells) if cell is None]
    try:
        "".join(filter(None, cells)).encode("utf-8")
    except UnicodeEncodeError:
        return range(len(cells))
    return places


def _getter(path: str) -> Callable[[Any], Any]:
    """What finds the value at a path in a record; names without dots come first."""
    names = path.split(".")
    if len(names) == 1:
        return lambda record: record.get(path, _MISSING)

    def get(record: Any) -> Any:
        value = record
        for name in names:
            if type(value) is not dict or name not in value:
                return value_at_path(record, path)
            value = value[name]
        return value

    return get


def value_at_path(value: Any, path: str) -> Any:
    """What stands at a path of names and places; a name may hold dots itself."""
    if isinstance(value, dict):
        if path in value:
            return value[path]
        at = path.find(".")
        while at >= 0:
            head, rest = path[:at], path[at + 1 :]
            if head in value and (found := value_at_path(value[head], rest)) is not _MISSING:
                return found
            at = path.find(".", at + 1)
    elif isinstance(value, list):
        head, _, rest = path.partition(".")
        if head.isascii() and head.isdigit() and len(head) < 5 and int(head) < len(value):
            item = value[int(head)]
            return value_at_path(item, rest) if rest else item
    return _MISSING


def _cell_text(value: Any, column: Column) -> tuple[str, str | None]:
    if value is _MISSING:
        return "", None
    try:
        text = value_text(value, column.format, column.type.kind)
        text.encode("utf-8")
    except (UnreadableValueError, UnicodeEncodeError):
        return "", "invalid_encoding"
    return text, None


def _rendered_cell(record: Mapping[str, Any], name: str) -> str:
    if is_sensitive_name(name):
        return ""
    value = value_at_path(record, name)
    try:
        return value_text(None if value is _MISSING else value)
    except UnreadableValueError:
        return json_text([value])[1:-1].strip('"')


def _strings(cells: list[str]) -> pa.Array:
    return pa.array(cells, pa.string())
