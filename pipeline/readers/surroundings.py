"""Lines before and behind the records of a file."""

from __future__ import annotations

import re

from pipeline.core.formats import Delimited
from pipeline.errors import PermanentError
from pipeline.readers.framing import BLOCK_BYTES, Utf8Stream
from pipeline.readers.line_types import LINE_END

MAX_PREAMBLE_BYTES = BLOCK_BYTES

_LINE_END_BYTES = b"\r\n"


def skip_preamble(text: Utf8Stream, dialect: Delimited, block_bytes: int) -> int:
    """Reads up to the first line behind the preamble, and says how many bytes that were.

    Raises `PermanentError` `preamble_without_end`.
    """
    if not dialect.preamble_lines and not dialect.preamble_until:
        return 0
    beginning = b""
    while (end := _preamble_end(beginning, dialect)) is None:
        fresh = text.read(block_bytes)
        if not fresh or len(beginning) > MAX_PREAMBLE_BYTES:
            raise PermanentError("preamble_without_end", "the file ends before its preamble does")
        beginning += fresh
    text.unread(beginning[end:])
    return end


def _preamble_end(beginning: bytes, dialect: Delimited) -> int | None:
    if dialect.preamble_until:
        mark = re.escape(dialect.preamble_until.encode())
        found = re.search(rb"(?:\A|(?<=[\r\n]))" + mark, beginning)
        return found.start() if found else None
    end = 0
    for _ in range(dialect.preamble_lines):
        match = LINE_END.search(beginning, end)
        if match is None:
            return None
        end = match.end()
    return end


def without_last_lines(block: bytes, lines: int) -> bytes:
    """The block less its last lines; blank ones do not count."""
    end = len(block)
    for _ in range(lines):
        while end and block[end - 1] in _LINE_END_BYTES:
            end -= 1
        end = max(block.rfind(b"\n", 0, end), block.rfind(b"\r", 0, end)) + 1
    return block[:end]
