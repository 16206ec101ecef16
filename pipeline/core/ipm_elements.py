"""The data elements of Mastercard IPM messages.

Numbers and lengths as in the IPM Clearing Formats manual (ISO 8583-1:1993 with private uses).
"""

from __future__ import annotations

import re

LENGTHS = re.compile(r"(LLL|LL|[1-9]\d{0,2})(b?)")
"""How long an element is: two or three digits before it say so, or it has that many bytes."""

ELEMENTS: dict[int, str] = {
    **{2: "LL", 3: "6", 4: "12", 5: "12", 6: "12", 7: "10", 8: "8", 9: "8", 10: "8", 11: "6"},
    **{12: "12", 13: "4", 14: "4", 15: "6", 16: "4", 17: "4", 18: "4", 19: "3", 20: "3", 21: "3"},
    **{22: "12", 23: "3", 24: "3", 25: "4", 26: "4", 27: "1", 28: "6", 29: "3", 30: "24"},
    **{31: "LL", 32: "LL", 33: "LL", 34: "LL", 35: "LL", 36: "LLL", 37: "12", 38: "6", 39: "3"},
    **{40: "3", 41: "8", 42: "15", 43: "LL", 44: "LL", 45: "LL", 46: "LLL", 47: "LLL"},
    **{48: "LLL", 49: "3", 50: "3", 51: "3", 52: "8b", 53: "LLb", 54: "LLL", 55: "LLLb"},
    **{56: "LL", 57: "3", 58: "LL", 59: "LLL", 60: "LLL", 61: "LLL", 62: "LLL", 63: "LLL"},
    **{64: "8b", 66: "LLL", 67: "2", 68: "3", 69: "3", 70: "3", 71: "8", 72: "LLL", 73: "6"},
    **{93: "LL", 94: "LL", 95: "LL", 96: "LLLb", 97: "17", 98: "25", 99: "LL", 100: "LL"},
    **{101: "LL", 102: "LL", 103: "LL", 104: "LLL", 105: "LLL"},
    **dict.fromkeys(range(106, 128), "LLL"),
    128: "8b",
}
SENSITIVE_ELEMENTS = frozenset({35, 36, 45, 52})  # tracks 2, 3 and 1, PIN block
# Tracks 1 and 2 in chip data, and the discretionary data of both, which holds their CVV.
SENSITIVE_TAGS = frozenset({"56", "57", "9F6B", "9F1F", "9F20"})
CHIP_DATA = 55
PRIVATE_DATA = (48, 62, 123, 124, 125)  # those that hold PDS, private data subelements
PDS_TAG_DIGITS, PDS_LENGTH_DIGITS = 4, 3  # before the value of a subelement
ACCOUNT_TAG = "5A"  # EMV: the application's primary account number
IPM_COLUMNS = ("MTI", *(f"DE{number}" for number in ELEMENTS))

_PDS = re.compile(r"PDS\d{4}")
_TAG = re.compile(r"TAG(?:[0-9A-F]{2}){1,3}")


def is_ipm_column(name: str) -> bool:
    """Whether the name is that of a private data subelement or a chip data tag."""
    return bool(_PDS.fullmatch(name) or _TAG.fullmatch(name))


def length_of(text: str) -> tuple[int, int, bool]:
    """Digits of the length before it, or else its bytes; and whether it is binary."""
    match = LENGTHS.fullmatch(text)
    if match is None:
        raise ValueError("not the length of an element")
    size, binary = match.groups()
    is_variable = size.startswith("L")
    return (len(size) if is_variable else 0), (0 if is_variable else int(size)), bool(binary)
