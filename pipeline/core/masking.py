"""Examples of cells that say how they look and not what they say."""

from __future__ import annotations

from pipeline.core.pans import LAST4_DIGITS, MIN_PAN_DIGITS

MAX_SHAPE_CHARACTERS = 24
MASK = "•"


def masked_pan(digits: str) -> str:
    """A PAN as PCI DSS v4.0.1 3.4.1 lets anybody see it: its length and last four digits."""
    shown = digits[-LAST4_DIGITS:] if len(digits) >= MIN_PAN_DIGITS else ""
    return MASK * (len(digits) - len(shown)) + shown


def shape_of(cell: str) -> str:
    """The cell with `#` for each digit, `x` or `X` for each letter, and its other characters."""
    shape = "".join(map(_shape_of_character, cell[:MAX_SHAPE_CHARACTERS]))
    return shape + "…" if len(cell) > MAX_SHAPE_CHARACTERS else shape


def _shape_of_character(character: str) -> str:
    if character.isnumeric():
        return "#"
    if character.isalpha():
        return "X" if character.isupper() else "x"
    return character if character.isprintable() else "?"
