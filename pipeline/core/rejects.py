"""Rejected rows, as they are kept in quarantine for repair: one JSON document a line."""

from __future__ import annotations

import base64

import orjson


def reject_line(row_number: int, reason: str, column: str | None, record: bytes) -> bytes:
    """`row`, `reason`, `column` (null when the whole row is at fault) and the original record.

    The record is in `record` as text, or in `record_base64` when it is not valid UTF-8.
    """
    line: dict[str, object] = {"row": row_number, "reason": reason, "column": column}
    try:
        line["record"] = record.decode("utf-8")
    except UnicodeDecodeError:
        line["record_base64"] = base64.b64encode(record).decode("ascii")
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
