"""How numbers are written: groups of digits, and the shapes of other numbering systems."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from pipeline.core.pans import MIN_PAN_DIGITS, passes_luhn, scheme_of
from pipeline.core.text_labels import Label, label_of, words_of

_NEAR = 48  # characters: longer than an IBAN or a UUID
# How cards are embossed: 4-4-4-4, Amex 4-6-5, Diners 4-6-4, …
_CARD_GROUPINGS = frozenset(
    {
        *((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 4, 2), (4, 4, 4, 4, 1)),
        *((6, 13), (8, 8), (4, 4, 4, 1), (4, 4, 4, 2), (4, 4, 4, 3), (6, 10), (4, 3, 3, 3)),
    }
)
_NOT_ONLY_CARDS = frozenset({(4, 4, 4), (3, 3, 3, 4), (4, 4, 5), (4, 5, 6)})  # Maestro, UATP
_EMBOSSED = 2
_GROUPED_OTHERWISE = -1
_MIXED_SEPARATORS = -3
_MIXED_EMBOSSED = -1
_BROKEN = -2  # numbers below one another are a list more often than a card in pieces
_PART_OF_A_CHAIN = -3
_END_OF_A_CHAIN = -5
_JOINED_BEFORE = -2
_JOINED_BEHIND = -1
_GLUED = -3
_IN_AN_ADDRESS = -2
_OTHER_SYSTEM = -9

_SCATTERED = range(5, MIN_PAN_DIGITS)  # groups: as of a national id, but not digit by digit
_LINE_BREAK = "\n"
_JOINTS = ("-", "_", ".")
_DIGITS = re.compile(r"[0-9]+")
_UUID = re.compile(r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_IBAN = re.compile(
    r"\b[A-Z]{2}[0-9]{2}(?:[ \u00a0]?[A-Z0-9]{4}){2,7}(?:[ \u00a0]?[A-Z0-9]{1,3})?\b"
)
_TELEPHONE_BEFORE = re.compile(r"\+[0-9 ()./-]{0,8}$|\([0-9+ ]{1,5}\)[ -]?$")
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
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
)
_FILLER = re.compile(r"[fF]+")  # EMV Book 3, tag 5A
_UNIT_LETTERS = 2
_CODE_LETTERS = 4  # prefixes of identifiers are short and capital: TRX, INV, 1Z
_GROUP_DIGITS = (4, 5, 6)
_DAY_DIGITS = 2  # or an hour, a minute
_EXPIRY_OR_CODE = 4  # digits: MMYY, or a verification code


@dataclass(frozen=True, slots=True)
class Groups:
    """A run of digits: the digits alone, where each stands in the text, and where groups begin.

    `edges` has one more item than there are groups; `separators` one less.
    """

    digits: str = field(repr=False)
    places: tuple[int, ...]
    edges: tuple[int, ...]
    separators: tuple[str, ...]

    @classmethod
    def of_run(cls, text: str, start: int, end: int) -> Self:
        """The groups between two places of a text."""
        spans = [match.span() for match in _DIGITS.finditer(text, start, end)]
        edges = [0]
        for first, last in spans:
            edges.append(edges[-1] + last - first)
        return cls(
            "".join(text[first:last] for first, last in spans),
            tuple(place for first, last in spans for place in range(first, last)),
            tuple(edges),
            tuple(text[before[1] : behind[0]] for before, behind in pairwise(spans)),
        )

    def length(self, at: int) -> int:
        """How many digits a group has."""
        return self.edges[at + 1] - self.edges[at]


def grouping_weight(groups: Groups, first: int, last: int) -> int:
    """What the grouping of a number says for its being a card's."""
    if first == last:
        return 0
    lengths = tuple(groups.length(at) for at in range(first, last + 1))
    is_embossed = lengths in _CARD_GROUPINGS
    separators = {_kind_of(each) for each in groups.separators[first:last]}
    if len(separators - {_LINE_BREAK}) > 1:
        return _MIXED_EMBOSSED if lengths == (4, 4, 4, 4) else _MIXED_SEPARATORS
    is_decimal = separators == {"."} and len(lengths) == 2
    if is_decimal and not is_embossed:
        return _OTHER_SYSTEM
    weight = _EMBOSSED if is_embossed else _GROUPED_OTHERWISE
    if lengths in _NOT_ONLY_CARDS:
        weight = 0
    if _LINE_BREAK in separators:
        weight += _BROKEN
    is_scattered = not is_embossed and len(lengths) in _SCATTERED
    if _is_joined(groups, first - 1, separators) and (
        is_scattered or not _follows_a_card(groups, first)
    ):
        weight += _END_OF_A_CHAIN
    if _is_joined(groups, last, separators):
        weight += _weight_of_beginning(groups, last, lengths)
    return weight


def _follows_a_card(groups: Groups, first: int) -> bool:
    """Whether the groups before are a number of their own: a card, a day, no group of a card's."""
    if groups.length(first - 1) <= _DAY_DIGITS or groups.length(first - 1) not in _GROUP_DIGITS:
        return True
    start = groups.edges[max(first - 4, 0)]
    return passes_luhn(groups.digits[start : groups.edges[first]].encode("ascii"))


def _weight_of_beginning(groups: Groups, last: int, lengths: tuple[int, ...]) -> int:
    """What it says that a number goes on in the way in which it is written."""
    is_end_of_run = last + 2 == len(groups.edges) - 1
    if lengths == (4, 4, 4, 4) and is_end_of_run and groups.length(last + 1) <= _DAY_DIGITS:
        return _PART_OF_A_CHAIN  # 17 or 18 digits; an expiry would be two groups
    is_whole = lengths in ((4, 4, 4, 4), (4, 6, 5)) and groups.length(last + 1) <= _EXPIRY_OR_CODE
    return 0 if is_whole else _PART_OF_A_CHAIN


def _is_joined(groups: Groups, at: int, separators: set[str]) -> bool:
    """Whether the separator of that number is one that stands within the candidate too."""
    if not 0 <= at < len(groups.separators):
        return False
    return _kind_of(groups.separators[at]) in separators


def _kind_of(separator: str) -> str:
    """What parts two groups, spaces around it aside; a space where it is nothing else."""
    if "\n" in separator or "\r" in separator:
        return _LINE_BREAK
    return _INVISIBLE.sub("", separator).strip() or " "


def surroundings_weight(text: str, groups: Groups, first: int, last: int) -> int:
    """What stands right before and behind a number, words aside."""
    start, end = groups.places[groups.edges[first]], groups.places[groups.edges[last + 1] - 1] + 1
    weight = _joints(groups, first, last)
    before, behind = text[max(start - _NEAR, 0) : start], text[end : end + _NEAR]
    if _is_of_another_system(before, text[start:end], behind):
        return weight + _OTHER_SYSTEM
    if _ADDRESS.search(before):
        weight += _IN_AN_ADDRESS
    return weight + _glue(before, text[start:end], behind)


def _joints(groups: Groups, first: int, last: int) -> int:
    """A single group that others are joined to by something else than a space."""
    if first != last:
        return 0
    weight = 0
    if first > 0 and groups.separators[first - 1] in _JOINTS:
        is_decimal = groups.separators[first - 1] == "."
        weight += _OTHER_SYSTEM if is_decimal else _JOINED_BEFORE
    if last < len(groups.separators) and groups.separators[last] in ("-", "_"):
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
