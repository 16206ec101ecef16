"""The guard on columns: Arrow leaves out the cells that cannot hold a PAN, and few are left.

Beside what it finds in any text: groups as they are embossed on cards, and single digits, whatever
stands between them; in a longer list of numbers, PANs of the file only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.core.arrow import pa, pc
from pipeline.core.guard import (
    CELL_RUN,
    MIN_RUN_DIGITS,
    SEPARATORS,
    Hit,
    digits_of,
    find_pans,
    is_card_like,
    replaced,
    views_of,
    with_ascii_digits,
    without_overlaps,
)
from pipeline.core.known_pans import BEGINNING_DIGITS, NO_KNOWN_PANS, KnownPans, may_hold
from pipeline.core.pans import MAX_PAN_DIGITS, MIN_PAN_DIGITS
from pipeline.core.text_marked import Marked, marked_groups, suspects_for_marks

_SUSPICIOUS = f"(?:[{SEPARATORS}\r\n%]{{0,3}}DIGIT)"  # escaped separators, %20, too
_DIGIT_CLASSES = {True: "[0-9]", False: r"\p{Nd}"}  # by whether the text is ASCII


@dataclass(frozen=True, slots=True)
class ColumnScan:
    """What the guard found in a column: hits by row index, and how long the longest cell is that
    holds enough digits for a PAN, marks between them or not, 0 if none does.
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
    if least_digits := _least_digits(known, full=full) if longest else 0:
        nearer, cells = suspects_in(cells, least_digits)
        indices = indices.take(nearer)
    if not full and longest:
        closer = pc.or_(pc.invert(pc.ascii_is_decimal(cells)), known.may_stand_in(cells))
        indices, cells = indices.filter(closer), cells.filter(closer)
    for index, cell in zip(indices.to_pylist(), cells.to_pylist(), strict=True):
        found = find_pans(cell, known, full=full, runs=CELL_RUN)
        if found:
            hits[index] = found
    for index, cell in _cells_with_marks(column):
        longest = max(longest, len(cell))
        if full or known.shortest <= MAX_PAN_DIGITS:
            groups = marked_groups(cell, known.windows)
            found = [_hit(each) for each in groups if _is_pan(each, known, full=full)]
            if found:
                hits[index] = without_overlaps([*hits.get(index, []), *found], known)
    return ColumnScan(hits, longest)


def _least_digits(known: KnownPans, *, full: bool) -> int:
    """How many digits a text needs before there can be a hit in it."""
    return min(known.shortest, MIN_RUN_DIGITS) if full else known.shortest


def _cells_with_marks(column: pa.Array) -> Iterator[tuple[int, str]]:
    """The cells that may hold groups of digits with marks between them, and their row indices."""
    if pa.types.is_string(column.type):
        indices = suspects_for_marks(column)
        cells = map(with_ascii_digits, column.take(indices).to_pylist())
        yield from zip(indices.to_pylist(), cells, strict=True)


def _hit(marked: Marked) -> Hit:
    return Hit(marked.start, marked.end, marked.digits.encode("ascii"))


def _is_pan(marked: Marked, known: KnownPans, *, full: bool) -> bool:
    digits = marked.digits.encode("ascii")
    is_own_number = not marked.is_of_a_list and len(digits) >= MIN_RUN_DIGITS
    return (full and is_own_number and is_card_like(digits)) or known.has(digits)


def windows(column: pa.Array, lengths: Collection[int], beginnings: pa.Array) -> list[bytes]:
    """Every run of digits that may be one of certain PANs, overlaps and marks included.

    Of those PANs the lengths are known, and their first `BEGINNING_DIGITS` digits (`string`).
    """
    _, cells = suspects_in(column, min(lengths, default=MAX_PAN_DIGITS + 1))
    has_more = pc.invert(pc.ascii_is_decimal(cells))
    cells = cells.filter(pc.or_(has_more, may_hold(cells, beginnings, BEGINNING_DIGITS)))
    sought = _Sought(frozenset(lengths), frozenset(beginnings.to_pylist()))
    found: list[str] = []
    for cell in cells.to_pylist():
        for run in (run for view in views_of(cell) for run in CELL_RUN.finditer(view)):
            digits = digits_of(run[0])
            found += [digits[start:end] for start, end in sought.windows(digits)]
    for _, cell in _cells_with_marks(column) if sought.beginnings else ():
        groups = [each.digits for each in marked_groups(cell, sought.windows)]
        found += filter(sought.may_be, groups)
    return [each.encode("ascii") for each in found]


@dataclass(frozen=True, slots=True)
class _Sought:
    """PANs of which only lengths and beginnings are at hand."""

    lengths: frozenset[int]
    beginnings: frozenset[str] = field(repr=False)

    def may_be(self, digits: str) -> bool:
        return len(digits) in self.lengths and digits[:BEGINNING_DIGITS] in self.beginnings

    def windows(self, digits: str) -> Iterator[tuple[int, int]]:
        """Where one may stand within a run of digits, as start and end."""
        for start in range(len(digits) - MIN_PAN_DIGITS + 1):
            if digits[start : start + BEGINNING_DIGITS] in self.beginnings:
                ends = (start + length for length in self.lengths)
                yield from ((start, end) for end in ends if end <= len(digits))


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
