"""Card numbers whose groups are parted by what otherwise parts numbers: `4111|1111|…`, markup, `·`.

Anything may stand between two numbers, so only groups as they are embossed count here, and single
digits as they are dictated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from pipeline.core.arrow import pa, pc

# A tag, a character reference (HTML 13.5), an escaped byte (RFC 3986, 2.1), an escaped character
# (RFC 8259, 7), or any other mark.
_MARKUP = r"<[^<>]{1,40}>|&#?[0-9A-Za-z]{2,6};|%[0-9A-Fa-f]{2}|\\[nrt]|\\u00[0-9A-Fa-f]{2}"
_MARKS = rf"(?:(?:{_MARKUP}|[^\w\r\n]|_){{1,6}}|[xX])"
_SHAPES = (  # 4-4-4-4; 4-6-5 and 4-6-4
    "([0-9]{4})MARKS([0-9]{4})MARKS([0-9]{4})MARKS([0-9]{4})",
    "([0-9]{4})MARKS([0-9]{6})MARKS([0-9]{4,5})",
)
_SHAPES_OF_MANY = (  # of cards, but of other numbers too, and of a card with its code behind it
    "([0-9]{4})MARKS([0-9]{4})MARKS([0-9]{4})",
    "([0-9]{4})MARKS([0-9]{4})MARKS([0-9]{4})MARKS([0-9]{1,3})",
    "([0-9]{4})MARKS([0-9]{4})MARKS([0-9]{4})MARKS([0-9]{4})MARKS([0-9]{1,3})",
)
_SEARCHED = [
    (
        re.compile(f"(?<![0-9])(?=({shape})(?![0-9]))".replace("MARKS", _MARKS)),
        shape in _SHAPES_OF_MANY,
    )
    for shape in (*_SHAPES, *_SHAPES_OF_MANY)
]
# Digit by digit, with marks among them, as dictated numbers are written down.
_SPELT = re.compile(r"(?<![0-9])[0-9](?:[^\w\r\n]{1,4}[0-9](?![0-9])){11,18}")
_SPELT_LIST = re.compile(_SPELT.pattern.replace("{11,18}", "{11,}"))
# What holds all of these, and more, in expressions that a DFA is small for.
_MARKS_FOR_ARROW = re.sub(r"\{1,[0-9]+\}|\{2,6\}", "+", _MARKS).replace(
    r"[^\w\r\n]|_", r"[^LETTERDIGIT\r\n]"
)
_SUSPICIOUS = "|".join(
    (
        "[DIGIT]{4}MARKS[DIGIT]{4,6}MARKS[DIGIT]{4}".replace("MARKS", _MARKS_FOR_ARROW),
        r"(?:[DIGIT][^LETTERDIGIT\r\n]+){11}[DIGIT]",
    )
)
_CLASSES = {True: ("0-9", "A-Za-z"), False: (r"\p{Nd}", r"\p{L}")}  # by whether all is ASCII
_NEXT = re.compile(rf"{_MARKS}([0-9]+)")
_MOST_BEHIND = 2  # groups: an expiry and a verification code
_LONGEST_BEHIND = 4  # digits: MMYY
_IN_A_LIST = re.compile(r"\s*[,;+]\s+|\s*:\s*")  # as numbers that belong together are listed
_MARKED = 2
_LISTED = -2  # a list of numbers needs a word for cards
_NEAR = 160  # characters: three groups behind, with markup between
_BEFORE = 64
_SHORTEST = 14  # characters: 12 digits in three groups


Parts = Callable[[str], Iterable[tuple[int, int]]]  # where in digits, as start and end


@dataclass(frozen=True, slots=True)
class Marked:
    """A number that is not written in one run: where it begins and ends, and what that weighs.

    `is_of_a_list` says that it is a PAN only if it is known for one: numbers go on in the same way,
    or many others look like it.
    """

    start: int
    end: int
    weight: int
    digits: str = field(repr=False)
    is_of_a_list: bool = False


def marked_groups(text: str, parts: Parts) -> Iterator[Marked]:
    """Groups as of a card, parted by marks.

    In a list of single digits `parts` says where one stands that is sought.
    """
    for pattern, is_of_many in _SEARCHED:
        for match in pattern.finditer(text):
            spans = [match.span(at) for at in range(2, pattern.groups + 1)]
            marks = [text[before[1] : behind[0]] for before, behind in pairwise(spans)]
            weight = _LISTED if any(map(_IN_A_LIST.fullmatch, marks)) else _MARKED
            digits = "".join(match.groups()[1:])
            is_of_a_list = is_of_many or _is_of_a_list(text, match)
            yield Marked(*match.span(1), weight, digits, is_of_a_list)
    for match in _SPELT.finditer(text):
        yield Marked(*match.span(), _LISTED, "".join(filter(str.isdigit, match[0])))
    for match in _SPELT_LIST.finditer(text):
        yield from _parts_of_list(match, parts)


def _parts_of_list(match: re.Match[str], parts: Parts) -> Iterator[Marked]:
    digits = "".join(filter(str.isdigit, match[0]))
    places = [match.start() + at for at, each in enumerate(match[0]) if each.isdigit()]
    for start, end in parts(digits):
        part = digits[start:end]
        yield Marked(places[start], places[end - 1] + 1, _LISTED, part, is_of_a_list=True)


def suspects_for_marks(column: pa.Array) -> pa.Array:
    """The row indices of the cells (Arrow `string`) that may hold such groups."""
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    if longest < _SHORTEST:
        return pa.array([], pa.uint64())
    is_ascii = pc.all(pc.string_is_ascii(column), min_count=0).as_py() is not False
    digit, letter = _CLASSES[is_ascii]
    pattern = _SUSPICIOUS.replace("DIGIT", digit).replace("LETTER", letter)
    return pc.indices_nonzero(pc.fill_null(pc.match_substring_regex(column, pattern), False))


def _is_of_a_list(text: str, match: re.Match[str]) -> bool:
    """Whether numbers go on in the same way, as no expiry and code behind a card would."""
    marks = text[match.end(2) : match.start(3)]
    before = text[max(match.start(1) - _BEFORE, 0) : match.start(1)]
    if before.endswith(marks) and before.removesuffix(marks)[-4:].isdigit():
        return True
    behind = text[match.end(1) : match.end(1) + _NEAR]
    at, groups = 0, []
    while (each := _NEXT.match(behind, at)) and behind.startswith(marks, at):
        groups.append(len(each[1]))
        at = each.end()
    return len(groups) > _MOST_BEHIND or any(each > _LONGEST_BEHIND for each in groups)
