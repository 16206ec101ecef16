"""Rejected rows, as they are kept in quarantine for repair: one JSON document a line.

The first line of such a file names the columns, all others are rows.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

MAX_ROW = 10**11  # a number of fewer digits than a PAN, so that it can be told


class MalformedLineError(Exception):
    """A line that is neither a row nor the names of the columns."""


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row by its number in the file it came with, and why it was rejected.

    `column` is None when the whole row is at fault; `record` are its bytes, less the sensitive
    authentication data in them.
    """

    row: int
    reason: str
    column: str | None
    record: bytes = field(repr=False)

    def as_line(self) -> bytes:
        """`row`, `reason`, `column` and the record: in `record` as text, or in `record_base64`."""
        line: dict[str, object] = {"row": self.row, "reason": self.reason, "column": self.column}
        try:
            line["record"] = self.record.decode("utf-8")
        except UnicodeDecodeError:
            line["record_base64"] = base64.b64encode(self.record).decode("ascii")
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def columns_line(columns: Sequence[str]) -> bytes:
    """The line that names the columns of the file, in its order."""
    return orjson.dumps({"columns": list(columns)}, option=orjson.OPT_APPEND_NEWLINE)


def parse_line(line: bytes) -> RejectedRow | tuple[str, ...]:
    """A row, or the names of the columns.

    Raises `MalformedLineError`, which does not say what stood there.

    Reason and column may be missing: who repairs a row need not say them.
    """
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise MalformedLineError("not JSON") from None
    if not isinstance(document, dict):
        raise MalformedLineError("not a JSON object")
    if "columns" in document:
        return _columns(document["columns"])
    row, reason, column = document.get("row"), document.get("reason", ""), document.get("column")
    if not isinstance(row, int) or isinstance(row, bool) or not 0 < row < MAX_ROW:
        raise MalformedLineError("no number in `row`")
    if not isinstance(reason, str) or not isinstance(column, str | None):
        raise MalformedLineError("no text in `reason` or `column`")
    return RejectedRow(row, reason, column, _record(document))


def _columns(unverified: Any) -> tuple[str, ...]:
    if not isinstance(unverified, list) or not all(isinstance(each, str) for each in unverified):
        raise MalformedLineError("no list of names in `columns`")
    return tuple(unverified)


def _record(document: Any) -> bytes:
    record, encoded = document.get("record"), document.get("record_base64")
    if isinstance(record, str):
        return record.encode()
    if not isinstance(encoded, str):
        raise MalformedLineError("no text in `record`")
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        raise MalformedLineError("no base64 in `record_base64`") from None
