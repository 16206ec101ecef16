"""Bytes that the stated encoding does not know, marked so that their rows can be told."""

from __future__ import annotations

import codecs

UNDECODABLE = "\U0010ffff"  # a noncharacter: no text holds it
MARK = "pantok.mark_each"


def _mark(error: UnicodeError) -> tuple[str, int]:
    """One mark for each byte, so that what follows keeps its place."""
    if isinstance(error, UnicodeDecodeError):
        return UNDECODABLE * (error.end - error.start), error.end
    raise error


codecs.register_error(MARK, _mark)
