"""Records that are no lines of text, as one line of text: for a person to repair."""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pipeline.core.sensitive import is_sensitive_name, without_track_data
from pipeline.readers.undecodable import UNDECODABLE

MAX_DEPTH = 64  # of values in values; no record of payments comes near

_NEEDS_QUOTES = re.compile(r'[,"\r\n]')


class Numeral(str):
    """A number as the text that stood in the file."""

    __slots__ = ()


class UnreadableValueError(Exception):
    """A value that is no text, or holds others too deep inside."""


def csv_record(cells: Iterable[str]) -> bytes:
    """The cells as one record of comma-separated text, less any full track in it."""
    record = ",".join(map(_csv_cell, cells)) or '""'  # an empty line would be none
    return without_track_data(record.encode("utf-8", "backslashreplace"))


def rendered(cells: Iterable[tuple[str, str]]) -> bytes:
    """One comma-separated record of (column, text) pairs.

    Columns of sensitive authentication data are empty and full tracks are removed, wherever they
    stand (PCI DSS 3.3.1).
    """
    texts = ["" if is_sensitive_name(name) else text for name, text in cells]
    return csv_record([text.replace(UNDECODABLE, "\ufffd") for text in texts])


def _csv_cell(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _NEEDS_QUOTES.search(cell) else cell


def value_text(value: Any, date_format: str = "", kind: str = "") -> str:
    """A value as the text that a cast reads: days and moments ISO 8601, no value the empty text.

    `date_format` is what the column's days and moments are written in, if not in ISO 8601;
    `kind` is the column's type: days and moments become what it holds, if nothing is lost. Raises
    `UnreadableValueError`.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, date):
        return _date_text(value, date_format, kind)
    if isinstance(value, bytes):
        return _bytes_text(value)
    return _number_text(value) or json_text(value)


def _number_text(value: Any) -> str:
    """The text of what is not nested; the empty text for what is."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return _float_text(value)
        case Decimal():
            return format(value, "f")
        case int() | time() | timedelta() | UUID():
            return str(value)
        case _:
            return ""


def _float_text(value: float) -> str:
    if not math.isfinite(value):
        return repr(value)
    text = format(Decimal(repr(value)), "f")
    return text.removesuffix(".0")


def _date_text(value: date, date_format: str, kind: str) -> str:
    if date_format:
        return value.strftime(date_format)
    if kind == "date" and isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if kind == "timestamp" and not isinstance(value, datetime):  # how a sheet shows midnight
        return datetime.combine(value, time()).isoformat()
    return value.isoformat()


def _bytes_text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise UnreadableValueError from None


def json_text(value: Any, depth: int = 0, *, without: Collection[str] = (), path: str = "") -> str:
    """A value as JSON, numbers as they stood there, less what is sensitive authentication data.

    `without` are the paths of members to leave out. Raises `UnreadableValueError`.
    """
    if depth > MAX_DEPTH:
        raise UnreadableValueError
    if isinstance(value, Mapping):
        members = [
            f"{json.dumps(str(name), ensure_ascii=False)}:"
            + json_text(item, depth + 1, without=without, path=f"{path}{name}.")
            for name, item in value.items()
            if f"{path}{name}" not in without and not is_sensitive_name(str(name))
        ]
        return "{" + ",".join(members) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = [json_text(item, depth + 1, without=without, path=path) for item in value]
        return "[" + ",".join(items) + "]"
    return _json_scalar(value)


def _json_scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Numeral | bool | int):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, bytes):
        return json.dumps(_text_or_base64(value), ensure_ascii=False)
    return json.dumps(value_text(value), ensure_ascii=False)


def _text_or_base64(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return b64encode(value).decode("ascii")
