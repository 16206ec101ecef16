"""Control totals: what trailer records claim, against what the file and its sections held."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.record_types import Records, TrailerTotals
from pipeline.core.written_numbers import PLAIN, NumberMarks
from pipeline.errors import PermanentError

_AMOUNT = pa.decimal128(38, 6)
_AMOUNT_PATTERN = r"^[+-]?[0-9]{1,26}(\.[0-9]{1,6})?$"
_CLAIM = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,6})?")
_EXACT = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Details:
    """The detail records of one type in a block.

    `table` are those that could be read, `row_numbers` (`int64`) where they stand in the file;
    `unreadable` are the numbers of the others, `columns` all columns of the type.
    """

    type_name: str
    columns: Sequence[str]
    table: pa.Table = field(repr=False)
    row_numbers: pa.Array
    unreadable: Sequence[int]


@dataclass(frozen=True, slots=True)
class Mark:
    """A record that is no detail: its type, its fields, and the number of the next row."""

    type_name: str
    fields: Sequence[str] = field(repr=False)
    next_row: int


@dataclass(slots=True)
class _Running:
    """What the records since the beginning of a file or section came to, for one trailer."""

    count: int = 0
    sum: Decimal = Decimal(0)
    unreadable: int = 0


class _Segment:
    """The details between two marks."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.unreadable: Counter[tuple[str, str]] = Counter()
        self.sums: dict[tuple[str, str], Decimal] = {}


class ControlTotals:
    """Adds up the records of a file and holds its trailers against them."""

    def __init__(
        self, records: Records | None, marks: Mapping[str, NumberMarks] | None = None
    ) -> None:
        """`marks` says how the numbers of a column are written, and the sums of them."""
        self._marks = marks or {}
        self._roles = {name: each.role for name, each in records.types.items()} if records else {}
        self._rules: Mapping[str, TrailerTotals] = records.totals if records else {}
        details = frozenset(records.detail_types if records else ())
        self._of = {name: frozenset(rule.of) or details for name, rule in self._rules.items()}
        self._running = {name: _Running() for name in self._rules}
        roles = set(self._roles.values())
        self._has_trailer = "trailer" in roles
        self._has_section_trailer = "section_trailer" in roles
        self._rows_of_section = 0
        self._is_behind_trailer = False

    @property
    def are_stated(self) -> bool:
        """Whether the file has trailers of any kind."""
        return self._has_trailer or self._has_section_trailer

    def so_far(self) -> Mapping[str, str] | None:
        """What they came to, for `go_on`; None behind the trailer, which is part of the file."""
        if self._is_behind_trailer:
            return None
        totals: dict[str, str] = {}
        for name, running in self._running.items():
            totals[f"{name}.count"] = str(running.count)
            totals[f"{name}.sum"] = str(running.sum)
            totals[f"{name}.unreadable"] = str(running.unreadable)
        if self._has_section_trailer:
            totals["section"] = str(self._rows_of_section)
        return totals

    def go_on(self, earlier: Mapping[str, str]) -> None:
        """Adds to what an earlier part of the file came to."""
        self._rows_of_section = int(earlier.get("section", "0"))
        self._running = {
            name: _Running(
                int(earlier.get(f"{name}.count", "0")),
                Decimal(earlier.get(f"{name}.sum", "0")),
                int(earlier.get(f"{name}.unreadable", "0")),
            )
            for name in self._rules
        }

    def _marks_of(self, column: str | None) -> NumberMarks:
        return self._marks.get(column or "", PLAIN)

    def take(self, details: Sequence[Details], marks: Sequence[Mark]) -> None:
        """Takes the records of a block into account.

        Raises `PermanentError`: `trailer_mismatch`, `trailer_missing` for a section that has none,
        `records_after_trailer` for a file that goes on after its end, which is two files.
        """
        if not self.are_stated:
            return
        for at, segment in enumerate(self._segments(details, marks)):
            self._add(segment)
            if at < len(marks):
                self._pass(marks[at])

    def _segments(self, details: Sequence[Details], marks: Sequence[Mark]) -> list[_Segment]:
        segments = [_Segment() for _ in range(len(marks) + 1)]
        borders = [mark.next_row for mark in marks]
        for each in details:
            sum_columns = {
                rule.sum_column
                for name, rule in self._rules.items()
                if rule.sum_column in each.columns and each.type_name in self._of[name]
            }
            places = _places(each.row_numbers, borders)
            for number in each.unreadable:
                segment = segments[bisect_right(borders, number)]
                segment.rows[each.type_name] += 1
                segment.unreadable.update((each.type_name, name) for name in sum_columns if name)
            for at, rows in _rows_by_place(places):
                segments[at].rows[each.type_name] += rows
            for name in sum_columns:
                if name:
                    amounts = self._marks_of(name).plain(each.table.column(name))
                    _add_amounts(segments, (each.type_name, name), amounts, places)
        return segments

    def _add(self, segment: _Segment) -> None:
        if not segment.rows:
            return
        self._forbid_after_trailer()
        self._rows_of_section += segment.rows.total()
        for name, rule in self._rules.items():
            running = self._running[name]
            running.count += sum(segment.rows[each] for each in self._of[name])
            for each in self._of[name]:
                where = (each, rule.sum_column or "")
                running.sum = _EXACT.add(running.sum, segment.sums.get(where, Decimal(0)))
                running.unreadable += segment.unreadable[where]

    def _pass(self, mark: Mark) -> None:
        role = self._roles[mark.type_name]
        if role != "skip":
            self._forbid_after_trailer()
        if role == "section_header" and self._has_section_trailer:
            self._begin_section()
        for name in self._rules:
            self._running[name].count += mark.type_name in self._of[name]
        if mark.type_name in self._rules:
            self._verify(mark)
        if role == "section_trailer":
            self._rows_of_section = 0
            self._begin_section()
        if role == "trailer":
            self._forbid_open_section()
            self._is_behind_trailer = True

    def _begin_section(self) -> None:
        self._forbid_open_section()
        for name in self._rules:
            if self._roles[name] == "section_trailer":
                self._running[name] = _Running()

    def _forbid_open_section(self) -> None:
        if self._has_section_trailer and self._rows_of_section:
            raise PermanentError("trailer_missing", "a section ends without its trailer record")

    def _forbid_after_trailer(self) -> None:
        if self._is_behind_trailer:
            raise PermanentError("records_after_trailer", "records follow the trailer")

    def finish(self) -> bool:
        """Raises `trailer_missing` at the end of a cut file.

        True when a trailer confirmed that the number of rows is what it is, 0 for one.
        """
        if self._has_trailer and not self._is_behind_trailer:
            raise PermanentError("trailer_missing", "the file ends without its trailer record")
        self._forbid_open_section()
        return any(
            rule.count_field is not None and not rule.of and self._roles[name] == "trailer"
            for name, rule in self._rules.items()
        )

    def _verify(self, mark: Mark) -> None:
        rule, running = self._rules[mark.type_name], self._running[mark.type_name]
        place = f"the trailer before row {mark.next_row}"
        if rule.count_field is not None:
            claimed = _claimed(mark, rule.count_field)
            if claimed != running.count:
                raise PermanentError(
                    "trailer_mismatch", f"{place}: its count is not the {running.count} read"
                )
        if rule.sum_field is None:
            return
        if running.unreadable:
            raise PermanentError(
                "trailer_mismatch",
                f"{running.unreadable} records hold no amount that could be added up",
            )
        if _claimed(mark, rule.sum_field, self._marks_of(rule.sum_column)) != running.sum:
            raise PermanentError("trailer_mismatch", f"{place}: its sum is not that of the records")


def _claimed(mark: Mark, number: int, marks: NumberMarks = PLAIN) -> Decimal:
    text = mark.fields[number - 1].strip() if number <= len(mark.fields) else ""
    text = marks.plain(pa.array([text], pa.string()))[0].as_py()
    if not _CLAIM.fullmatch(text):
        raise PermanentError("trailer_mismatch", f"field {number} of a trailer is not a number")
    return Decimal(text)


def _rows_by_place(places: Sequence[int]) -> Iterable[tuple[int, int]]:
    if places and places[0] == places[-1]:  # they ascend
        return ((places[0], len(places)),)
    return Counter(places).items()


def _places(row_numbers: pa.Array, borders: Sequence[int]) -> list[int]:
    """The segment that each row is in."""
    if not borders or not len(row_numbers):
        return [0] * len(row_numbers)
    first, last = (
        bisect_right(borders, row_numbers[0].as_py()),
        bisect_right(borders, row_numbers[-1].as_py()),
    )
    if first == last:
        return [first] * len(row_numbers)
    return [bisect_right(borders, number) for number in row_numbers.to_pylist()]


def _add_amounts(
    segments: Sequence[_Segment],
    where: tuple[str, str],
    amounts: pa.ChunkedArray,
    places: Sequence[int],
) -> None:
    amounts = pc.utf8_trim_whitespace(amounts)
    is_readable = pc.match_substring_regex(amounts, _AMOUNT_PATTERN)
    if pc.all(is_readable, min_count=0).as_py():
        readable = amounts.cast(_AMOUNT)
    else:
        readable = pc.if_else(is_readable, amounts, pa.scalar(None, pa.string())).cast(_AMOUNT)
    if places and places[0] == places[-1]:
        segment = segments[places[0]]
        segment.sums[where] = pc.sum(readable).as_py() or Decimal(0)
        segment.unreadable[where] += readable.null_count
        return
    by_segment = (
        pa.table({"segment": pa.array(places, pa.int32()), "amount": readable})
        .group_by("segment")
        .aggregate([("amount", "sum"), ("amount", "count"), ([], "count_all")])
    )
    for row in by_segment.to_pylist():
        segment = segments[row["segment"]]
        segment.sums[where] = row["amount_sum"] or Decimal(0)
        segment.unreadable[where] += row["count_all"] - row["amount_count"]
