"""JSON text to values: numbers as their text, nothing said twice, nothing nested without end."""

from __future__ import annotations

import json
import re
from typing import Any

from pipeline.core.sensitive import is_sensitive_name
from pipeline.readers.rendering import MAX_DEPTH, Numeral
from pipeline.readers.structured import Record, Unreadable

MALFORMED = "malformed_json"
_WORD = re.compile(r"[A-Za-z0-9_.\- ]+")
_NOT_OPENING = re.compile(r"[^\[{]+")
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)


class DuplicateNameError(ValueError):
    """An object that names a member twice: nobody can say which one counts (RFC 8259, 4)."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise DuplicateNameError
    return members


def _refuse_constant(_: str) -> Any:
    raise ValueError("NaN and Infinity are no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members,
    parse_float=Numeral,
    parse_int=Numeral,
    parse_constant=_refuse_constant,
)
_LENIENT_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)


def value_from(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at `start`, and where it ends; raises `ValueError` for none.

    One that names a member twice is `Unreadable`.
    """
    try:
        return _DECODER.raw_decode(text, start)
    except DuplicateNameError:
        return Unreadable("duplicate_name"), _LENIENT_DECODER.raw_decode(text, start)[1]
    except RecursionError:
        raise ValueError("nested too deep") from None


def record_of(text: str) -> Record:
    """The object that a text is, or why it is none."""
    if is_nested_too_deep(text):
        return Unreadable("nested_too_deep", without_sensitive_words(text))
    try:
        value = _DECODER.decode(text)
    except DuplicateNameError:
        return Unreadable("duplicate_name", without_sensitive_words(text))
    except (ValueError, RecursionError):
        return Unreadable(MALFORMED, without_sensitive_words(text))
    return as_record(value, text)


def as_record(value: Any, text: str) -> Record:
    """The value, if it is an object."""
    if isinstance(value, dict):
        return value
    reason = value.reason if isinstance(value, Unreadable) else "not_an_object"
    return Unreadable(reason, without_sensitive_words(text))


def is_nested_too_deep(text: str) -> bool:
    """Whether values stand in values more than `MAX_DEPTH` deep."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        first = match[0][0]
        depth += (first in "[{") - (first in "]}")
        if depth > MAX_DEPTH:
            return True
    return False


def without_sensitive_words(text: str) -> str:
    """The text; nothing of it when a word in it may name sensitive authentication data."""
    words = _WORD.findall(text)
    return "" if any(is_sensitive_name(word) for word in words if len(word) < 80) else text
