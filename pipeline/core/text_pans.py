"""Finds PANs in free text, by what numbers are made of and what the words around them say.

A candidate is a chain of whole groups of digits whose length and prefix a scheme issues and whose
check digit is right (ISO/IEC 7812-1). One long number in ten passes that check by chance, so shape
and surroundings are weighed: evidence adds up, and what stays undecided counts as a PAN, since a
PAN that is missed is worse than a number that is taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from pipeline.core.guard import CELL_RUN, Hit, hits_in_run, views_of, without_overlaps
from pipeline.core.guard_columns import suspects_in
from pipeline.core.known_pans import NO_KNOWN_PANS, KnownPans
from pipeline.core.pans import MAX_PAN_DIGITS, MIN_PAN_DIGITS
from pipeline.core.text_groups import Groups, grouping_weight
from pipeline.core.text_labels import (
    NEAR_CHARACTERS,
    label_after,
    label_before,
    mentions_card,
)
from pipeline.core.text_marked import Marked, marked_groups, suspects_for_marks
from pipeline.core.text_numbers import OWN_LENGTH, is_rare, weight_of_number
from pipeline.core.text_spoken import spoken_numbers, suspects_for_words
from pipeline.core.text_surroundings import surroundings_weight
from pipeline.core.text_words import Label

SHORT_DIGITS = 15  # ITU-T E.164; GTIN 14
ACCEPTED = 1  # the least sum of the weights below

_LABELLED = 5
_MENTIONED = 2
_LABELLED_OTHER = -3
_LABELLED_NEVER = -9
_PADDED = -1

_Finder = Callable[[str], Iterator[Marked]]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Where in a text digits begin and end, and the weight of what says that they are a PAN."""

    start: int
    end: int
    weight: int
    digits: str = field(repr=False)


def find_pans_in_text(text: str, known: KnownPans = NO_KNOWN_PANS) -> list[Hit]:
    """The PANs in a text, left to right; known ones whatever stands around them."""
    return _find(text, known, [partial(marked_groups, parts=known.windows), spoken_numbers])


def find_in_text_column(column: pa.Array, known: KnownPans = NO_KNOWN_PANS) -> dict[int, list[Hit]]:
    """The PANs in an Arrow column of `string`, by row index."""
    with_runs, _ = suspects_in(column, MIN_PAN_DIGITS)
    finders: dict[int, list[_Finder]] = {index: [] for index in with_runs.to_pylist()}
    for finder, suspects in (
        (partial(marked_groups, parts=known.windows), suspects_for_marks(column)),
        (spoken_numbers, suspects_for_words(column)),
    ):
        for index in suspects.to_pylist():
            finders.setdefault(index, []).append(finder)
    cells = column.take(pa.array(finders, pa.int64())).to_pylist()
    pairs = zip(finders.items(), cells, strict=True)
    found = {index: _find(cell, known, of_cell) for (index, of_cell), cell in pairs}
    return {index: hits for index, hits in found.items() if hits}


def _find(text: str, known: KnownPans, finders: Iterable[_Finder]) -> list[Hit]:
    found: list[Hit] = []
    for view in views_of(text):
        for run in CELL_RUN.finditer(view):
            exact = without_overlaps(hits_in_run(run, known, full=False))
            found += [*exact, *_by_weight(view, run, exact)]
        for finder in finders:
            others = [each for each in finder(view) if not _is_in_one_run(view, each)]
            found += [_hit(each) for each in others if _is_pan(view, each, known)]
    return without_overlaps(found, known)


def _is_in_one_run(text: str, marked: Marked) -> bool:
    """Whether what is between the digits are separators, so that it is a run as well."""
    return CELL_RUN.fullmatch(text, marked.start, marked.end) is not None


def _is_pan(text: str, marked: Marked, known: KnownPans) -> bool:
    """Whether a number that is not written in one run is a PAN."""
    if known.has(marked.digits.encode("ascii")):
        return True
    weight = weight_of_number(marked.digits)
    if marked.is_of_a_list or weight != OWN_LENGTH:
        return False
    words = _weight_of_words(text, marked.start, marked.end, len(marked.digits))
    return weight + marked.weight + words >= ACCEPTED


def _hit(marked: Marked) -> Hit:
    return Hit(marked.start, marked.end, marked.digits.encode("ascii"))


def _by_weight(text: str, run: re.Match[str], exact: list[Hit]) -> Iterator[Hit]:
    """The candidates of a run beside its known PANs, the weightier of two that overlap."""
    groups = Groups.of_run(text, run.start(), run.end())
    accepted = [each for each in _candidates(text, groups) if each.weight >= ACCEPTED]
    taken = bytearray(run.end() - run.start())
    for hit in exact:
        _take(taken, hit.start - run.start(), hit.end - run.start())
    for each in sorted(accepted, key=lambda each: (-each.weight, each.start, -each.end)):
        if _take(taken, each.start - run.start(), each.end - run.start()):
            yield Hit(each.start, each.end, each.digits.encode("ascii"))


def _take(taken: bytearray, start: int, end: int) -> bool:
    if any(taken[start:end]):
        return False
    taken[start:end] = b"\1" * (end - start)
    return True


def _candidates(text: str, groups: Groups) -> Iterator[_Candidate]:
    edges = groups.edges
    for first in range(len(edges) - 1):
        for last in range(first, len(edges) - 1):
            count = edges[last + 1] - edges[first]
            if count > MAX_PAN_DIGITS:
                break
            if count >= MIN_PAN_DIGITS and (each := _candidate(text, groups, first, last)):
                yield each


def _candidate(text: str, groups: Groups, first: int, last: int) -> _Candidate | None:
    """The groups as a candidate; None if no scheme issues such a number, or nothing can save it."""
    given = groups.digits[groups.edges[first] : groups.edges[last + 1]]
    is_padded = first == last and given.startswith("0") and not is_rare(given)
    digits = given.lstrip("0") if is_padded else given
    weight = weight_of_number(digits)
    if weight is None:
        return None
    weight += _PADDED if is_padded else grouping_weight(groups, first, last)
    doubts = surroundings_weight(text, groups, first, last)
    weight += doubts
    if weight + _LABELLED < ACCEPTED:
        return None
    start, end = groups.spans[first][0], groups.spans[last][1]
    words = _weight_of_words(text, start, end, len(digits))
    weight += 0 if doubts and words == _MENTIONED else words
    return _Candidate(start + len(given) - len(digits), end, weight, digits)


def _weight_of_words(text: str, start: int, end: int, digits: int) -> int:
    before = text[max(start - NEAR_CHARACTERS, 0) : start]
    after = text[end : end + NEAR_CHARACTERS]
    match label_before(before) or label_after(after):
        case Label.CARD:
            return _LABELLED
        case Label.OTHER:
            return _LABELLED_OTHER
        case Label.SHORT:
            return _LABELLED_OTHER if digits <= SHORT_DIGITS else 0
        case Label.NEVER:
            return _LABELLED_NEVER
        case _:
            return _MENTIONED if mentions_card(before, after) else 0
