"""Typed Arrow columns made into text, as a cast reads it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import Column
from pipeline.errors import PermanentError
from pipeline.readers.numbers import WRONG_LENGTH
from pipeline.readers.rendering import UnreadableValueError, value_text

Reasons = dict[int, str]
"""Why rows (by their index) cannot be read."""

_UNREADABLE = (ValueError, OverflowError, OSError, pa.ArrowException)  # a UnicodeError is the first


def flattened(batch: pa.RecordBatch) -> pa.Table:
    """The columns, members of structs as columns of their own: `payment.card.number`."""
    table = pa.Table.from_batches([batch])
    while any(pa.types.is_struct(each.type) for each in table.schema):
        table = table.flatten()
    return table


def flattened_names(schema: pa.Schema) -> list[str]:
    """The names that the columns have once they are flattened."""
    return [name for each in schema for name in _names_of(each, "")]


def _names_of(field: pa.Field, prefix: str) -> list[str]:
    name = f"{prefix}{field.name}"
    if not pa.types.is_struct(field.type):
        return [name]
    return [each for inner in field.type for each in _names_of(inner, f"{name}.")]


def text_of_column(cells: pa.Array, column: Column, name: str) -> tuple[pa.Array, Reasons]:
    """The cells as `string` without nulls, and the rows that hold no text.

    Raises `PermanentError` for a column of PANs whose type cannot hold them for sure:
    `pan_column_is_numeric`, `pan_column_is_inexact`.
    """
    if column.role == "pan" and is_numeric(cells.type):
        return _pans(cells, column, name)
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    texts = _texts(cells, column)
    if texts is None or not _is_text(texts):
        return _one_by_one(cells, column)
    return pc.fill_null(texts, ""), {}


def _is_text(texts: pa.Array) -> bool:
    """Whether all of it is UTF-8; Arrow takes from a file what its types promise."""
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _texts(cells: pa.Array, column: Column) -> pa.Array | None:
    """The cells as text where Arrow can make it; None for other types."""
    kind = cells.type
    if kind in (pa.string(), pa.large_string(), pa.string_view(), pa.null()) or _is_plain(kind):
        return cells.cast(pa.string())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _moments(cells, column)
    return _written_out(cells) if is_numeric(kind) else None


def is_numeric(kind: pa.DataType) -> bool:
    """Whether a column of that type holds numbers, which have no zeros before them."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _is_plain(kind: pa.DataType) -> bool:
    """Whether Arrow's own cast gives what is wanted."""
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _written_out(cells: pa.Array) -> pa.Array:
    """Floats and decimals as their shortest text, without exponents."""
    texts = cells.cast(pa.string())
    has_exponent = pc.fill_null(pc.match_substring(texts, "e", ignore_case=True), False)
    if not pc.any(has_exponent).as_py():
        return texts
    written_out = [format(Decimal(each), "f") for each in texts.filter(has_exponent).to_pylist()]
    return pc.replace_with_mask(texts, has_exponent, pa.array(written_out, pa.string()))


def _pans(cells: pa.Array, column: Column, name: str) -> tuple[pa.Array, Reasons]:
    """Whole numbers with zeros before them; none at all for zero, which stands for no card."""
    kind = cells.type
    if pa.types.is_floating(kind) or (pa.types.is_decimal(kind) and kind.scale > 0):
        raise PermanentError(
            "pan_column_is_inexact", f"column {name} is {kind}: its digits may have changed"
        )
    if column.digits is None:
        raise PermanentError(
            "pan_column_is_numeric",
            f"column {name} is {kind}: set digits in [columns.{name}], or upload it as text",
        )
    texts = ["" if not cell else str(int(cell)) for cell in cells.to_pylist()]
    reasons = {
        at: WRONG_LENGTH
        for at, text in enumerate(texts)
        if len(text) > column.digits or text.startswith("-")
    }
    return pa.array([text and text.zfill(column.digits) for text in texts], pa.string()), reasons


def _moments(cells: pa.Array, column: Column) -> pa.Array:
    if pa.types.is_date(cells.type):
        days = cells.cast(pa.date32())
        is_moment = column.type.kind == "timestamp"
        return pc.strftime(days, column.format or ("%Y-%m-%dT00:00" if is_moment else "%Y-%m-%d"))
    zone = "UTC" if cells.type.tz else None
    moments = cells.cast(pa.timestamp("us", tz=zone), safe=False)
    if column.format:  # which knows no fractions of seconds
        return pc.strftime(
            pc.floor_temporal(moments, unit="second").cast(_seconds(zone)), column.format
        )
    texts = moments.cast(pa.string())
    if column.type.kind != "date":
        return texts
    local = moments.cast(pa.timestamp("us"))
    days = local.cast(pa.date32(), safe=False)
    is_midnight = pc.equal(days.cast(pa.timestamp("us")), local)
    return pc.if_else(is_midnight, days.cast(pa.string()), texts)


def _seconds(zone: str | None) -> pa.DataType:
    return pa.timestamp("s", tz=zone)


def _one_by_one(cells: pa.Array, column: Column) -> tuple[pa.Array, Reasons]:
    texts: list[str] = []
    reasons: Reasons = {}
    for at, cell in enumerate(cells):
        try:
            text = value_text(_plain(cell.as_py()), column.format, column.type.kind)
            text.encode("utf-8")
        except (UnreadableValueError, *_UNREADABLE):
            text, reasons[at] = "", "invalid_encoding"
        texts.append(text)
    return pa.array(texts, pa.string()), reasons


def _plain(value: Any) -> Any:
    """A value in Python's own types: a map is an object."""
    if isinstance(value, list) and value and all(isinstance(each, tuple) for each in value):
        return {str(name): _plain(item) for name, item in value}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def rendered_cell(cell: pa.Scalar) -> str:
    """One typed value as the text that a person reads and repairs."""
    if isinstance(cell, pa.DictionaryScalar):
        cell = cell.value
    try:
        return value_text(_plain(cell.as_py()))
    except (UnreadableValueError, *_UNREADABLE):
        return _rendered_anyhow(cell)


def _rendered_anyhow(cell: pa.Scalar) -> str:
    """A value that Python has no type for, or text that is none."""
    if hasattr(cell, "as_buffer"):
        return bytes(cell.as_buffer() or b"").decode("utf-8", "backslashreplace")
    try:
        return str(cell.cast(pa.string()).as_py())
    except _UNREADABLE:
        return ""
