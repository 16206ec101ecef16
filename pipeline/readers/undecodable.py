"""Bytes that the stated encoding does not know, marked so that their rows can be told."""

from __future__ import annotations

import codecs

import pyarrow as pa
import pyarrow.compute as pc

UNDECODABLE = "\U0010ffff"  # a noncharacter: no text holds it
UNDECODABLE_BYTES = UNDECODABLE.encode()
MARK = "pantok.mark_each"


def _mark(error: UnicodeError) -> tuple[str, int]:
    """One mark for each byte, so that what follows keeps its place."""
    if isinstance(error, UnicodeDecodeError):
        return UNDECODABLE * (error.end - error.start), error.end
    raise error


codecs.register_error(MARK, _mark)


def marked(body: bytes) -> bytes:
    """The bytes as valid UTF-8, undecodable ones replaced by a mark that `decodable` finds."""
    if body.isascii():
        return body
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("utf-8", MARK).encode("utf-8")
    return body


def decodable(table: pa.Table, row_numbers: pa.Array) -> tuple[pa.Table, pa.Array, list[int]]:
    """The rows without undecodable bytes, their numbers, and the numbers of the other rows."""
    bad: pa.ChunkedArray | None = None
    for column in table.columns:
        hits = pc.fill_null(pc.match_substring(column, UNDECODABLE), False)
        bad = hits if bad is None else pc.or_(bad, hits)
    if bad is None or not pc.any(bad).as_py():
        return table, row_numbers, []
    good = pc.invert(bad)
    undecodable = row_numbers.filter(bad.combine_chunks()).to_pylist()
    return table.filter(good), row_numbers.filter(good.combine_chunks()), undecodable
