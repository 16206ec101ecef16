"""How far the cells of a worksheet reach, told from its text as it passes."""

from __future__ import annotations

import re

from pipeline.errors import PermanentError

MAX_CELLS = 8_000_000  # used or not, up to the last one: 32 bytes each in the library's memory
_TAG = re.compile(rb"<(?:\w+:)?(row|c)(?=[\s/>])([^<>]*)>")
_REFERENCE = re.compile(rb"""(?:^|\s)r\s*=\s*["']\s*([A-Za-z]{0,7})([0-9]{0,10})\s*["']""")
_LONGEST_TAG_BYTES = 4096
_PLAIN_CELL = re.compile(rb'<c r="([A-Z]{1,3})([0-9]{1,7})"')


class SheetSize:
    """The last row and column of a sheet that comes piece by piece."""

    def __init__(self) -> None:
        self._rest = b""
        self._row = self._column = 0
        self._last_row = self._last_column = 0
        self._columns: dict[bytes, int] = {}

    def add(self, piece: bytes) -> None:
        """Takes note of the cells in the next piece."""
        text = self._rest + piece
        cut = text.rfind(b"<")
        if cut < 0 or len(text) - cut > _LONGEST_TAG_BYTES:
            cut = len(text)
        self._rest = text[cut:]
        self._note(text[:cut])

    def _note(self, text: bytes) -> None:
        plain = _PLAIN_CELL.findall(text)
        if plain and len(plain) == len(re.findall(rb"<(?:\w+:)?c(?=[\s/>])", text)):
            self._last_row = max(self._last_row, *(int(digits) for _, digits in plain))
            for letters in {letters for letters, _ in plain}:
                self._last_column = max(self._last_column, _number(letters))
            self._row = int(plain[-1][1])
            self._column = _number(plain[-1][0])
            return
        for tag, attributes in _TAG.findall(text):
            self._step(tag, _REFERENCE.search(attributes))

    def _step(self, tag: bytes, reference: re.Match[bytes] | None) -> None:
        """One row or cell; without a reference it follows the one before."""
        letters, digits = reference.groups() if reference else (b"", b"")
        if tag == b"row":
            self._row = int(digits) if digits else self._row + 1
            self._column = 0
            return
        self._row = int(digits) if digits else max(self._row, 1)
        self._column = _number(letters) if letters else self._column + 1
        self._last_row = max(self._last_row, self._row)
        self._last_column = max(self._last_column, self._column)

    def check(self) -> None:
        """Raises `PermanentError` `too_large_for_memory`."""
        self._note(self._rest)
        if self._last_row * self._last_column > MAX_CELLS:
            raise PermanentError(
                "too_large_for_memory", f"a sheet reaches over more than {MAX_CELLS} cells"
            )


def _number(letters: bytes) -> int:
    """A column's number, from 1: A is 1, XFD is 16,384."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number
