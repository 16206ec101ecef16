"""Avro object container files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError
from pipeline.model import START, Position
from pipeline.readers.avro_blocks import AvroBlocks
from pipeline.readers.foreign import damage_as_errors, library
from pipeline.readers.framing import SeekableSource
from pipeline.readers.numbers import MAX_LONG
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.structured import StructuredRecords
from pipeline.readers.typed import check_names

ROWS_AT_ONCE = 10_000
_WHOLE_NUMBERS = ("int", "long")
_FLOATS = ("float", "double")


def read_avro(
    stream: SeekableSource,
    layout: Layout,
    start: Position = START,
    end_bytes: int | None = None,
    *,
    max_rows: int = ROWS_AT_ONCE,
) -> Iterator[TextRecordBatch]:
    """The records of an Avro file, block by block; positions count rows.

    Raises `PermanentError`: `reader_not_installed`, `malformed_file`, `expands_too_far`,
    `no_rows`, what `check_names` raises, and for columns of PANs that are numbers
    `pan_column_is_numeric` and `pan_column_is_inexact`.
    """
    fastavro = library("fastavro")
    with damage_as_errors("Avro"):
        blocks = AvroBlocks(stream, start.offset_bytes)
        columns = columns_of(blocks.schema)
        file = iter(fastavro.block_reader(blocks))
    check_names(list(columns), layout)
    _check_pan_columns(columns, layout)
    records = StructuredRecords(layout, MAX_LONG, list(columns))
    rows = _rows(file, blocks, start.offset_bytes)
    at = start.offset_bytes
    while end_bytes is None or at < end_bytes:
        limit = max_rows if end_bytes is None else min(max_rows, end_bytes - at)
        with damage_as_errors("Avro"):
            found = list(islice(rows, limit))
        if not found:
            break
        yield records.batch(found, at + 1, Position(at + len(found), at + len(found)))
        at += len(found)
    if not at:
        raise PermanentError("no_rows", "the file holds no data records")


def _rows(file: Iterator[Any], blocks: AvroBlocks, first_row: int) -> Iterator[Mapping[str, Any]]:
    to_skip: int | None = None
    for block in file:
        if to_skip is None:
            to_skip = first_row - blocks.skipped_rows
        for record in block:
            if to_skip:
                to_skip -= 1
                continue
            yield record


def columns_of(schema: Any) -> Mapping[str, Any]:
    """The type of each column by its name; members of records have the path to them.

    Raises `PermanentError` `malformed_file`, `unsupported_format`.
    """
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise PermanentError("malformed_file", "the file holds no records")
    _refuse_endless_arrays(schema)
    columns: dict[str, Any] = {}
    _add_columns(schema, "", columns)
    return columns


def _add_columns(record: Mapping[str, Any], prefix: str, columns: dict[str, Any]) -> None:
    for each in record["fields"]:
        kind = _without_null(each["type"])
        name = f"{prefix}{each['name']}"
        if isinstance(kind, dict) and kind.get("type") == "record":
            _add_columns(kind, f"{name}.", columns)
        else:
            columns[name] = kind


def _without_null(kind: Any) -> Any:
    """The one type that a union has beside null, else the type as it is."""
    if isinstance(kind, list):
        others = [each for each in kind if each != "null"]
        return others[0] if len(others) == 1 else kind
    if isinstance(kind, dict) and isinstance(kind.get("type"), dict | list):
        return _without_null(kind["type"])
    return kind


def _refuse_endless_arrays(kind: Any) -> None:
    """Arrays of what takes no bytes: a few bytes can announce any number of items."""
    if isinstance(kind, list):
        for each in kind:
            _refuse_endless_arrays(each)
    elif isinstance(kind, dict):
        if kind.get("type") == "array" and _takes_no_bytes(kind.get("items")):
            raise PermanentError("unsupported_format", "an array of items without content")
        for each in (kind.get("type"), kind.get("items"), kind.get("values")):
            _refuse_endless_arrays(each)
        for each in kind.get("fields", ()):
            _refuse_endless_arrays(each)


def _takes_no_bytes(kind: Any) -> bool:
    if isinstance(kind, dict):
        if kind.get("type") == "fixed":
            return bool(kind.get("size") == 0)
        if kind.get("type") == "record":
            return all(_takes_no_bytes(each["type"]) for each in kind.get("fields", ()))
        return _takes_no_bytes(kind.get("type"))
    return bool(kind == "null")


def _check_pan_columns(columns: Mapping[str, Any], layout: Layout) -> None:
    for name in layout.pan_columns:
        kind = columns[name]
        primitive = kind.get("type") if isinstance(kind, dict) else kind
        if primitive in _FLOATS:
            raise PermanentError(
                "pan_column_is_inexact",
                f"column {name} is {primitive}: its digits may have changed",
            )
        if primitive in _WHOLE_NUMBERS and layout.columns[name].digits is None:
            raise PermanentError(
                "pan_column_is_numeric",
                f"column {name} is {primitive}: set digits in [columns.{name}]",
            )
