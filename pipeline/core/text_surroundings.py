"""What numbers touch: letters, joints, and the shapes of other numbering systems."""

from __future__ import annotations

import re

from pipeline.core.pans import scheme_of
from pipeline.core.text_groups import OTHER_SYSTEM, Groups
from pipeline.core.text_labels import label_of, words_of
from pipeline.core.text_words import Label

_NEAR = 48  # characters: longer than an IBAN or a UUID
_JOINED_BEFORE = -2
_JOINED_BEHIND = -1
_GLUED = -3
_IN_AN_ADDRESS = -2

_JOINTS = ("-", "_", ".")
_UUID = re.compile(r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_IBAN = re.compile(
    r"\b[A-Z]{2}[0-9]{2}(?:[ \u00a0]?[A-Z0-9]{4}){2,7}(?:[ \u00a0]?[A-Z0-9]{1,3})?\b"
)
_TELEPHONE_BEFORE = re.compile(r"\+[0-9 ()./-]{0,8}$|\([0-9+ ]{2,5}\)[ -]?$")
_TELEPHONE_DIGITS = 15  # ITU-T E.164
_DECIMAL_BEFORE = re.compile(r"(?<![0-9.,])0,$")
_ADDRESS = re.compile(r"(?i)(?:https?://|www\.|ftp://|mailto:)\S*$|\S+@$")
# How airlines and hotels write a form of payment: VI4111…, FPAX3782… (IATA codes of card schemes).
_SCHEME_CODES = {
    **{"visa": ("VI",), "mastercard": ("CA", "MC"), "amex": ("AX",), "diners": ("DC",)},
    **{"discover": ("DS",), "jcb": ("JC", "JB"), "unionpay": ("UP", "CU"), "uatp": ("TP",)},
}
_LATIN_BEFORE = re.compile(r"[A-Za-z\u00c0-\u024f\u0400-\u04ff]+$")
_SERIES_BEFORE = re.compile(r"(?<![^\W_])([A-Z]{2,6})[-_]$")
_WORD_BEHIND = re.compile(r"[A-Za-z\u00c0-\u024f\u0400-\u04ff]+")
_FILLER = re.compile(r"[fF]+")  # EMV Book 3, tag 5A
_UNIT_LETTERS = 2
_CODE_LETTERS = 4  # prefixes of identifiers are short and capital: TRX, INV, 1Z


def surroundings_weight(text: str, groups: Groups, first: int, last: int) -> int:
    """What stands right before and behind a number, words aside."""
    start, end = groups.spans[first][0], groups.spans[last][1]
    weight = _joints(groups, first, last)
    before, behind = text[max(start - _NEAR, 0) : start], text[end : end + _NEAR]
    if _is_of_another_system(before, text[start:end], behind):
        return weight + OTHER_SYSTEM
    if _ADDRESS.search(before):
        weight += _IN_AN_ADDRESS
    return weight + _glue(before, text[start:end], behind)


def _joints(groups: Groups, first: int, last: int) -> int:
    """What it says that others are joined to a number by something else than to each other."""
    weight = 0
    before = groups.separators[first - 1] if first else ""
    if before in _JOINTS and set(groups.separators[first:last]) != {before}:
        is_fraction = first == last and before == "."
        weight += OTHER_SYSTEM if is_fraction else _JOINED_BEFORE
    behind = groups.separators[last] if last < len(groups.separators) else ""
    if first == last and behind in ("-", "_"):
        weight += _JOINED_BEHIND
    return weight


def _is_of_another_system(before: str, number: str, behind: str) -> bool:
    is_short = sum(map(str.isdigit, number)) <= _TELEPHONE_DIGITS
    if (is_short and _TELEPHONE_BEFORE.search(before)) or _DECIMAL_BEFORE.search(before):
        return True
    if number.startswith("00") and len(number) <= len("00") + _TELEPHONE_DIGITS:
        return True
    around, at = before + number + behind, len(before)
    inside = [each.span() for each in _UUID.finditer(around)]
    inside += [each.span() for each in _IBAN.finditer(around) if is_iban(each[0])]
    return any(start <= at < end for start, end in inside)


def is_iban(text: str) -> bool:
    """Whether the check digits of an account number are right. Source: ISO 13616, ISO 7064."""
    bare = re.sub(r"\s", "", text)
    return int("".join(str(int(each, 36)) for each in bare[4:] + bare[:4])) % 97 == 1


def _glue(before: str, number: str, behind: str) -> int:
    """Letters that the number is written together with."""
    weight = 0
    glued = _LATIN_BEFORE.search(before)
    series = _SERIES_BEFORE.search(before)
    if glued:
        weight += _weight_of_prefix(before, glued, number)
    elif series and label_of(series[1].lower()) is not Label.CARD:
        weight += _JOINED_BEFORE
    word = _WORD_BEHIND.match(behind)
    if word and not _FILLER.fullmatch(word[0]):
        continues = behind[word.end() : word.end() + 1].isdigit()
        is_of_code = continues or len(word[0]) <= _UNIT_LETTERS
        weight += _GLUED if is_of_code and label_of(word[0].lower()) is not Label.CARD else 0
    return weight


def _weight_of_prefix(before: str, glued: re.Match[str], number: str) -> int:
    if before[: glued.start()][-1:].isdigit():  # an identifier of letters and digits
        return _GLUED
    if glued[0].endswith(_SCHEME_CODES.get(scheme_of(number.encode()), ())):
        return 0
    words = words_of(glued[0])
    if words and label_of(words[-1]) is Label.CARD:
        return 0
    is_code = len(glued[0]) <= _CODE_LETTERS and glued[0].isupper()
    return _GLUED if is_code or len(glued[0]) == 1 else 0
