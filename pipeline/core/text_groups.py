"""How numbers are written: what their groups of digits say for their being a card's."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from pipeline.core.pans import MIN_PAN_DIGITS, passes_luhn

# How cards are embossed: 4-4-4-4, Amex 4-6-5, Diners 4-6-4, …
_CARD_GROUPINGS = frozenset(
    {
        *((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 4, 2), (4, 4, 4, 4, 1)),
        *((6, 13), (8, 8), (4, 4, 4, 1), (4, 4, 4, 2), (4, 4, 4, 3), (6, 10), (4, 3, 3, 3)),
    }
)
_ONLY_CARDS = frozenset({(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3)})
_NOT_ONLY_CARDS = frozenset(  # Maestro, UATP, Diners
    {(4, 4, 4), (3, 3, 3, 4), (4, 4, 5), (4, 5, 6), (3, 4, 4, 3)}
)
_EMBOSSED = 2
_GROUPED_OTHERWISE = -1
_GROUPED_AS_NUMBERS = -2  # 13 and 14 digits, or many groups: telephones, companies, people
_MIXED_SEPARATORS = -3
_MIXED_EMBOSSED = -1
_BROKEN = -2  # numbers below one another are a list more often than a card in pieces
_PART_OF_A_CHAIN = -3
_END_OF_A_CHAIN = -5
OTHER_SYSTEM = -9

_SHORT_CARDS = (13, 14)  # digits: Visa's of old, and Diners
_SCATTERED = range(5, MIN_PAN_DIGITS)  # groups: as of a national id, but not digit by digit
_LINE_BREAK = "\n"
_DIGITS = re.compile(r"[0-9]+")
_DECIMAL_OR_RANGE = re.compile(r"\.|\s+\S+\s+")
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
)
_GROUP_DIGITS = (4, 5, 6)
_DAY_DIGITS = 2  # or an hour, a minute
_EXPIRY_OR_CODE = 4  # digits: MMYY, or a verification code


@dataclass(frozen=True, slots=True)
class Groups:
    """A run of digits: the digits alone, where groups stand in the text and begin in the digits.

    `edges` has one more item than there are groups; `separators` one less.
    """

    digits: str = field(repr=False)
    spans: tuple[tuple[int, int], ...]
    edges: tuple[int, ...]
    separators: tuple[str, ...]

    @classmethod
    def of_run(cls, text: str, start: int, end: int) -> Self:
        """The groups between two places of a text."""
        spans = tuple(match.span() for match in _DIGITS.finditer(text, start, end))
        edges = [0]
        for first, last in spans:
            edges.append(edges[-1] + last - first)
        return cls(
            "".join(text[first:last] for first, last in spans),
            spans,
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
    separators = {_kind_of(each) for each in groups.separators[first:last]}
    if len(separators - {_LINE_BREAK}) > 1:
        return _MIXED_EMBOSSED if lengths == (4, 4, 4, 4) else _MIXED_SEPARATORS
    if len(lengths) == 2 and _DECIMAL_OR_RANGE.fullmatch(groups.separators[first]):
        return OTHER_SYSTEM
    weight = _weight_of_groups(lengths)
    if _LINE_BREAK in separators:
        weight += _BROKEN
    is_scattered = _is_scattered(lengths)
    if _is_joined(groups, first - 1, separators) and (
        is_scattered or not _follows_a_number(groups, first, lengths)
    ):
        weight += _END_OF_A_CHAIN
    if _is_joined(groups, last, separators):
        weight += _weight_of_beginning(groups, last, lengths)
    return weight


def _weight_of_groups(lengths: tuple[int, ...]) -> int:
    if lengths in _NOT_ONLY_CARDS:
        return 0
    if lengths in _CARD_GROUPINGS:
        return _EMBOSSED
    is_short = sum(lengths) in _SHORT_CARDS and lengths[0] % 4
    is_uneven = _is_scattered(lengths) and len(set(lengths[:-1])) > 1
    return _GROUPED_AS_NUMBERS if is_short or is_uneven else _GROUPED_OTHERWISE


def _is_scattered(lengths: tuple[int, ...]) -> bool:
    return lengths not in _CARD_GROUPINGS and len(lengths) in _SCATTERED


def _follows_a_number(groups: Groups, first: int, lengths: tuple[int, ...]) -> bool:
    """Whether the groups before are a number of their own: a card, a day, a telephone number."""
    before = groups.length(first - 1)
    if before <= _DAY_DIGITS or before not in _GROUP_DIGITS:
        return True
    if lengths in _CARD_GROUPINGS and before != lengths[0]:
        return True
    is_end = first + len(lengths) == len(groups.edges) - 1
    if lengths in _ONLY_CARDS and is_end and (first == 1 or groups.length(first - 2) != before):
        return True
    start = groups.edges[max(first - 4, 0)]
    return passes_luhn(groups.digits[start : groups.edges[first]].encode("ascii"))


def _weight_of_beginning(groups: Groups, last: int, lengths: tuple[int, ...]) -> int:
    """What it says that a number goes on in the way in which it is written."""
    is_end_of_run = last + 2 == len(groups.edges) - 1
    if lengths == (4, 4, 4, 4) and is_end_of_run and groups.length(last + 1) <= _DAY_DIGITS:
        return _PART_OF_A_CHAIN  # 17 or 18 digits; an expiry would be two groups
    is_whole = lengths in _ONLY_CARDS and groups.length(last + 1) <= _EXPIRY_OR_CODE
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
