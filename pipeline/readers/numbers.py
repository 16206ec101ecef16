"""PANs that a file holds as numbers, which takes leading zeros away, and from floats digits."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from pipeline.core.columns import Column
from pipeline.readers.rendering import Numeral

NUMBER = "pan_number"
INEXACT = "pan_number_inexact"
WRONG_LENGTH = "pan_wrong_length"
MAX_JSON_INTEGER = 2**53 - 1  # RFC 8259, 6: up to here all programs agree on the digits
MAX_SHEET_INTEGER = 10**15 - 1  # a spreadsheet keeps 15 digits and makes zeros of the others
MAX_LONG = 2**63 - 1  # typed formats hold every digit

_INTEGER = re.compile(r"-?[0-9]{1,40}")


def is_number(value: Any) -> bool:
    """Whether a cell is a number, and not text."""
    return isinstance(value, Numeral | int | float | Decimal) and not isinstance(value, bool)


def pan_of_number(value: Any, column: Column, largest: int) -> tuple[str, str | None]:
    """The digits of a PAN that was a number, zeros before it, or why they cannot be known.

    A number beyond `largest` lost digits on its way. Zero stands for no card number.
    """
    integer = _exact_integer(value)
    if integer is None or abs(integer) > largest:
        return "", INEXACT
    if integer == 0:
        return "", None
    if column.digits is None:
        return "", NUMBER
    digits = str(integer)
    if integer < 0 or len(digits) > column.digits:
        return "", WRONG_LENGTH
    return digits.zfill(column.digits), None


def _exact_integer(value: Any) -> int | None:
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        return int(value) if _INTEGER.fullmatch(value) else None
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else None
    return int(value)
