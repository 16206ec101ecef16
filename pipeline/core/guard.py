"""The guard: finds PANs where none may be.

Two tests. The exact one: any PAN of the file, wherever its digits stand. The full one: any
Luhn-valid run of 13 to 19 digits that begins like a card, with or without separators; in a column
also groups as they are embossed on cards, and single digits, whatever stands between them, unless
they are the beginning of a longer list.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

from pipeline.core.arrow import pa, pc
from pipeline.core.pans import (
    MAX_PAN_DIGITS,
    MIN_PAN_DIGITS,
    has_issuer_prefix,
    passes_luhn,
)
from pipeline.core.text_marked import Marked, marked_groups, suspects_for_marks

MIN_RUN_DIGITS = 13  # 12-digit runs are retrieval reference numbers far more often than Maestro
BEGINNING_DIGITS = 6  # the shortest issuer identification number, ISO/IEC 7812-1
REDACTED = "[PAN removed]"

# What may stand between the digits of a PAN: what normalisation takes away, line ends and quotation
# marks aside, and . _ / besides.
_SEPARATORS = (
    " \t\x0b\x0c\\-.'`_/\u00a0\u00ad\u00b4\u02bc\u061c\u180e\u2000-\u200f\u2010-\u2015"
    + "\u2018\u2019\u202a-\u202f\u205f-\u2064\u2066-\u2069\u2212\u3000\ufeff"
)
_SEPARATED = f"(?:[{_SEPARATORS}]{{0,3}}DIGIT)"  # understood by re and by Arrow alike
_SEPARATED_IN_CELL = f"(?:[{_SEPARATORS}\r\n]{{0,3}}DIGIT)"
_SUSPICIOUS = f"(?:[{_SEPARATORS}\r\n%]{{0,3}}DIGIT)"  # escaped separators, %20, too
RUN = re.compile(f"DIGIT{_SEPARATED}{{{MIN_PAN_DIGITS - 1},}}".replace("DIGIT", "[0-9]"))
CELL_RUN = re.compile(  # a number may go on in the next line of its cell
    f"DIGIT{_SEPARATED_IN_CELL}{{{MIN_PAN_DIGITS - 1},}}".replace("DIGIT", "[0-9]")
)
ANY_RUN = re.compile(RUN.pattern.replace("[0-9]", r"\d"))  # in the digits of any script
_DIGIT_CLASSES = {True: "[0-9]", False: r"\p{Nd}"}  # by whether the text is ASCII
_GROUP = re.compile(r"[0-9]+")
_MAX_SPAN_DIGITS = 2 * MAX_PAN_DIGITS  # zeros before the PAN included
_ZEROS = re.compile(f"0{{0,{_MAX_SPAN_DIGITS - MIN_RUN_DIGITS}}}")
_ZERO = ord("0")
# Characters that are escaped in addresses (RFC 3986, 2.1); what can stand in a PAN is kept so.
_ESCAPED = re.compile(r"%(?:0[9AD]|2[0-9A-F]|3[A-F]|5[BD]|7[B-D])", re.IGNORECASE)
_ESCAPED_SEPARATORS = ("%20", "%2D", "%2d")


@dataclass(frozen=True, slots=True)
class Hit:
    """A PAN in a text: from `start` up to `end`, separators included."""

    start: int
    end: int
    digits: bytes = field(repr=False)


class KnownPans:
    """The PANs that the exact test looks for."""

    def __init__(self, digits: pa.Array | None = None) -> None:
        """`digits` is an Arrow array of `string`; without it, there are none."""
        self._given = digits
        lengths: list[int] = []
        if digits is not None:
            lengths = pc.unique(pc.binary_length(digits)).to_pylist()
        self._lengths = sorted(lengths, reverse=True)

    @cached_property
    def _column(self) -> pa.Array:
        return pa.array([], pa.string()) if self._given is None else self._given

    @cached_property
    def _digits(self) -> frozenset[str]:
        return frozenset(self._column.to_pylist())

    @cached_property
    def _beginnings(self) -> pa.Array:
        return pc.utf8_slice_codeunits(self._column, 0, MIN_PAN_DIGITS)

    def least_digits(self, *, full: bool) -> int:
        """How many digits a text needs before there can be a hit in it."""
        shortest = self._lengths[-1] if self._lengths else MAX_PAN_DIGITS + 1
        return min(shortest, MIN_RUN_DIGITS) if full else shortest

    def has(self, pan: bytes) -> bool:
        """Whether a PAN is one of these."""
        return pan.decode("ascii") in self._digits

    def and_also(self, pans: Collection[bytes]) -> KnownPans:
        """These PANs and some more."""
        if not pans:
            return self
        more = pa.array(pans, pa.binary()).cast(pa.string())
        return KnownPans(pa.concat_arrays([self._column, more]))

    def may_stand_in(self, cells: pa.Array) -> pa.Array:
        """Arrow `bool`: which of the cells, digits without separators, may hold a known PAN."""
        return _may_hold(cells, self._beginnings, MIN_PAN_DIGITS)

    def windows(self, digits: str) -> Iterator[tuple[int, int]]:
        """Where a known PAN stands within a run of digits, as start and end."""
        for length in self._lengths:
            for start in range(len(digits) - length + 1):
                if digits[start : start + length] in self._digits:
                    yield start, start + length


NO_KNOWN_PANS = KnownPans()


def find_pans(
    text: str,
    known: KnownPans = NO_KNOWN_PANS,
    *,
    full: bool = True,
    runs: re.Pattern[str] = RUN,
) -> list[Hit]:
    """The PANs in a text, left to right, none overlapping another."""
    found: list[Hit] = []
    for view in views_of(text):
        for run in runs.finditer(view):
            found += hits_in_run(run, known, full=full)
    return without_overlaps(found)


def could_hold_pan(text: str, least_digits: int = MIN_PAN_DIGITS) -> bool:
    """Whether the text has a run of digits as long as the shortest PAN, whatever they are."""
    runs = RUN.finditer(with_ascii_digits(text))
    return any(len(_digits_of(run[0])) >= least_digits for run in runs)


def views_of(text: str) -> Iterator[str]:
    """The text as digits can be read in it, of the same length: as it stands, and, where there are
    such, with blanks for characters that are escaped as in an address.
    """
    plain = with_ascii_digits(text)
    yield plain
    if "%" in plain and (unescaped := _ESCAPED.sub(_blanked, plain)) != plain:
        yield unescaped


def _blanked(escaped: re.Match[str]) -> str:
    return "   " if escaped[0] in _ESCAPED_SEPARATORS else "%  "


def with_ascii_digits(text: str) -> str:
    """The text with the digits of other scripts, full-width ones too, as 0 to 9; same length."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(each, each)) for each in text)


def hits_in_run(run: re.Match[str], known: KnownPans, *, full: bool) -> list[Hit]:
    """The PANs in one match of `RUN`, overlaps included."""
    digits = _digits_of(run[0])
    spans = list(known.windows(digits))
    if full and len(digits) >= MIN_RUN_DIGITS:
        spans += _card_like_spans(run[0], digits)
    if not spans:
        return []
    places = [run.start() + at for at, character in enumerate(run[0]) if character.isdigit()]
    return [
        Hit(places[start], places[end - 1] + 1, digits[start:end].encode("ascii"))
        for start, end in spans
    ]


def _digits_of(run: str) -> str:
    return run if run.isdigit() else "".join(_GROUP.findall(run))


def _card_like_spans(run: str, digits: str) -> Iterator[tuple[int, int]]:
    """Whole groups of digits, or groups that follow one another, that could be a PAN together.

    Zeros before the PAN do not count. What a digit costs does not depend on how many there are.
    """
    ends = list(accumulate(map(len, _GROUP.findall(run))))
    is_end = frozenset(ends)
    for start in (0, *ends[:-1]):
        begin = _after_zeros(digits, start)
        last = min(begin + MAX_PAN_DIGITS, start + _MAX_SPAN_DIGITS, len(digits))
        for end in range(begin + MIN_RUN_DIGITS, last + 1):
            if end in is_end and _is_card_like(digits[begin:end].encode("ascii")):
                yield begin, end


def _after_zeros(digits: str, start: int) -> int:
    """Behind as many zeros as may stand before a PAN."""
    match = _ZEROS.match(digits, start)
    return match.end() if match else start


def _is_card_like(digits: bytes) -> bool:
    """Whether so many digits as a PAN has begin and end like one."""
    return digits[0] != _ZERO and has_issuer_prefix(digits) and passes_luhn(digits)


def without_overlaps(hits: list[Hit]) -> list[Hit]:
    """The hits from left to right, less those that begin within another."""
    kept: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, hit.start - hit.end)):
        if not kept or hit.start >= kept[-1].end:
            kept.append(hit)
    return kept


@dataclass(frozen=True, slots=True)
class ColumnScan:
    """What the guard found in a column: hits by row index, and how long the longest cell is that
    holds enough digits for a PAN, 0 if none does.
    """

    hits: dict[int, list[Hit]]
    longest: int


def find_in_column(
    column: pa.Array, known: KnownPans = NO_KNOWN_PANS, *, full: bool = True
) -> ColumnScan:
    """Searches an Arrow column of strings, integers or decimals."""
    hits: dict[int, list[Hit]] = {}
    indices, cells = suspects_in(column, MIN_PAN_DIGITS)
    longest = pc.max(pc.binary_length(cells)).as_py() or 0
    if least_digits := known.least_digits(full=full) if longest else 0:
        nearer, cells = suspects_in(cells, least_digits)
        indices = indices.take(nearer)
    if not full and longest:
        closer = pc.or_(pc.invert(pc.ascii_is_decimal(cells)), known.may_stand_in(cells))
        indices, cells = indices.filter(closer), cells.filter(closer)
    for index, cell in zip(indices.to_pylist(), cells.to_pylist(), strict=True):
        found = find_pans(cell, known, full=full, runs=CELL_RUN)
        if found:
            hits[index] = found
    if full and pa.types.is_string(column.type):
        _add_marked(hits, column, known)
    return ColumnScan(hits, longest)


def _add_marked(hits: dict[int, list[Hit]], column: pa.Array, known: KnownPans) -> None:
    """Adds the PANs whose groups are parted by what does not belong into a number."""
    indices = suspects_for_marks(column)
    for index, cell in zip(indices.to_pylist(), column.take(indices).to_pylist(), strict=True):
        found = [
            Hit(each.start, each.end, each.digits.encode("ascii"))
            for each in marked_groups(with_ascii_digits(cell))
            if _is_pan(each, known)
        ]
        if found:
            hits[index] = without_overlaps([*hits.get(index, []), *found])


def _is_pan(marked: Marked, known: KnownPans) -> bool:
    digits = marked.digits.encode("ascii")
    is_own_number = not marked.is_of_a_list and len(digits) >= MIN_RUN_DIGITS
    return (is_own_number and _is_card_like(digits)) or known.has(digits)


def windows(column: pa.Array, lengths: Collection[int], beginnings: pa.Array) -> list[bytes]:
    """Every run of digits that may be one of certain PANs, overlaps included.

    Of those PANs the lengths are known, and their first `BEGINNING_DIGITS` digits (`string`).
    """
    _, cells = suspects_in(column, min(lengths, default=MAX_PAN_DIGITS + 1))
    has_more = pc.invert(pc.ascii_is_decimal(cells))
    cells = cells.filter(pc.or_(has_more, _may_hold(cells, beginnings, BEGINNING_DIGITS)))
    known = frozenset(beginnings.to_pylist()) if len(cells) else frozenset()
    found: list[bytes] = []
    for cell in cells.to_pylist():
        for run in (run for view in views_of(cell) for run in CELL_RUN.finditer(view)):
            digits = _digits_of(run[0])
            starts = [
                at for at in range(len(digits)) if digits[at : at + BEGINNING_DIGITS] in known
            ]
            for length in lengths:
                ends = [at + length for at in starts if at + length <= len(digits)]
                found += [digits[end - length : end].encode("ascii") for end in ends]
    return found


def beginnings_of(pans: pa.Array) -> pa.Array:
    """The first digits of PANs, each once: issuer numbers, by which most other numbers differ."""
    return pc.unique(pc.utf8_slice_codeunits(pans, 0, BEGINNING_DIGITS))


def _may_hold(cells: pa.Array, beginnings: pa.Array, width: int) -> pa.Array:
    """Arrow `bool`: which cells, digits without separators, hold one of the beginnings."""
    longest = pc.max(pc.binary_length(cells)).as_py() or 0
    starts = range(longest - MIN_PAN_DIGITS + 1)
    if not len(beginnings) or not starts:
        return pa.repeat(pa.scalar(False), len(cells))
    slices = [pc.utf8_slice_codeunits(cells, at, at + width) for at in starts]
    is_one = pc.is_in(pa.concat_arrays(slices), value_set=beginnings)
    may_be = is_one.slice(0, len(cells))
    for at in starts[1:]:
        may_be = pc.or_(may_be, is_one.slice(at * len(cells), len(cells)))
    return may_be


def suspects_in(column: pa.Array, least_digits: int) -> tuple[pa.Array, pa.Array]:
    """The cells that hold enough digits for a hit, and their row indices."""
    text = _as_text(column, least_digits) if least_digits <= MAX_PAN_DIGITS else None
    if text is None:
        return pa.array([], pa.uint64()), pa.array([], pa.string())
    digit = _DIGIT_CLASSES[pc.all(pc.string_is_ascii(text), min_count=0).as_py() is not False]
    pattern = f"DIGIT{_SUSPICIOUS}{{{least_digits - 1}}}".replace("DIGIT", digit)
    indices = pc.indices_nonzero(pc.fill_null(pc.match_substring_regex(text, pattern), False))
    return indices, text.take(indices)


def _as_text(column: pa.Array, least_digits: int) -> pa.Array | None:
    """The column as text; None where its type or its values leave no room for so many digits."""
    if pa.types.is_string(column.type):
        longest = pc.max(pc.binary_length(column)).as_py()
        return column if longest and longest >= least_digits else None
    if pa.types.is_integer(column.type) or pa.types.is_decimal(column.type):
        largest = pc.max(pc.abs(column)).as_py()
        if largest is not None and _fits(largest, column.type, least_digits):
            return column.cast(pa.string())
    return None


def _fits(largest: Any, column_type: pa.DataType, least_digits: int) -> bool:
    """Whether the number has that many digits, those behind the decimal point included."""
    scale = column_type.scale if pa.types.is_decimal(column_type) else 0
    return bool(largest >= 10 ** max(least_digits - scale - 1, 0))


def replace_hits(
    column: pa.Array, hits: dict[int, list[Hit]], replacement: Callable[[Hit], str]
) -> pa.Array:
    """The string column with each hit replaced."""
    if not hits:
        return column
    cells = column.to_pylist()
    for index, found in hits.items():
        cells[index] = replaced(cells[index], found, replacement)
    return pa.array(cells, pa.string())


def replaced(text: str, hits: list[Hit], replacement: Callable[[Hit], str]) -> str:
    """The text with each hit replaced."""
    for hit in reversed(hits):
        text = text[: hit.start] + replacement(hit) + text[hit.end :]
    return text


def redacted(text: str) -> str:
    """The text without anything that looks like a PAN."""
    return replaced(text, find_pans(text), lambda _: REDACTED)
