"""Which type each record of a fixed-width file is of, and whether trailers count them rightly."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.record_formats import Fixed, FixedField, Place
from pipeline.errors import PermanentError
from pipeline.readers.fixed_framing import RecordBlock

UNKNOWN, TOO_LONG = -1, -2
NO_TYPE = {UNKNOWN: "unknown_record_type", TOO_LONG: "wrong_record_length"}
"""Numbers of records that are of no type, with the reason that makes of each of them."""


class Typing:
    """Tells record types apart; they are numbered in the layout's order, below zero for none.

    Where no data type is named, a record of no other type is a data record of type `untyped`.
    """

    def __init__(self, settings: Fixed) -> None:
        self.names = tuple(settings.types)
        self._types = list(settings.types.values())
        self._most = settings.record_bytes
        self.untyped = len(self.names) if not settings.has_data_types else None

    def of(self, block: RecordBlock) -> pa.Array:
        """The number (`int16`) of each record's type: the first one that fits."""
        nobody = UNKNOWN if self.untyped is None else self.untyped
        numbers = pa.array([nobody] * len(block), pa.int16())
        for at in reversed(range(len(self._types))):
            each = self._types[at]
            key = block.codec.column(block.records, each.key.start, each.key.end)
            values = pa.array([block.codec.encoded(value) for value in each.values], key.type)
            is_one = pc.is_in(key, value_set=values)
            numbers = pc.if_else(is_one, pa.scalar(at, pa.int16()), numbers)
        return self._without_long_lines(block, numbers)

    def _without_long_lines(self, block: RecordBlock, numbers: pa.Array) -> pa.Array:
        """A line longer than records are may be two records: it is of no type."""
        if block.lengths is None or self._most is None or max(block.lengths) <= self._most:
            return numbers
        is_long = pc.greater(pa.array(block.lengths, pa.int64()), self._most)
        return pc.if_else(is_long, pa.scalar(TOO_LONG, pa.int16()), numbers)

    def of_kind(self, *kinds: str) -> list[int]:
        """The numbers of the types of these kinds."""
        numbers = [at for at, each in enumerate(self._types) if each.kind in kinds]
        if "data" in kinds and self.untyped is not None:
            numbers.append(self.untyped)
        return numbers


class RecordCounts:
    """Counts records of each type and holds section and file trailers against the counts."""

    def __init__(self, settings: Fixed, typing: Typing) -> None:
        self._typing = typing
        self._counting = {
            at: each for at, each in enumerate(settings.types.values()) if each.count is not None
        }
        self._counted = {
            at: [typing.names.index(name) for name in each.counts] or typing.of_kind("data")
            for at, each in self._counting.items()
        }
        self._trailers = typing.of_kind("trailer")
        self._sections = set(typing.of_kind("section"))
        self._so_far = dict.fromkeys(self._counting, 0)
        self._is_over = False

    def so_far(self) -> Mapping[str, str] | None:
        """The counts, for `go_on`; None behind the trailer, which is part of the file."""
        if self._is_over:
            return None
        return {self._typing.names[at]: str(count) for at, count in self._so_far.items()}

    def go_on(self, earlier: Mapping[str, str]) -> None:
        """Adds to the counts of an earlier part of the file."""
        for at in self._so_far:
            self._so_far[at] = int(earlier.get(self._typing.names[at], "0"))

    def add(self, block: RecordBlock, numbers: pa.Array) -> None:
        """Raises `records_after_trailer` or `trailer_mismatch`."""
        self._forbid_after_trailer(numbers)
        for at in self._counting:
            self._verify(at, block, numbers)

    def _forbid_after_trailer(self, numbers: pa.Array) -> None:
        """A file that goes on after its end is two files; records that are skipped are filling."""
        if not self._trailers:
            return
        counted = pc.invert(_is_any(numbers, self._typing.of_kind("skip")))
        ends = pc.indices_nonzero(_is_any(numbers, self._trailers))
        behind = counted
        if not self._is_over:
            if not len(ends):
                return
            behind = counted.slice(ends[0].as_py() + 1)
            self._is_over = True
        if pc.any(behind, min_count=0).as_py():
            raise PermanentError("records_after_trailer", "records follow the trailer")

    def _verify(self, at: int, block: RecordBlock, numbers: pa.Array) -> None:
        is_counted = _is_any(numbers, self._counted[at]).cast(pa.int64())
        total = pc.cumulative_sum(is_counted)
        places = pc.indices_nonzero(pc.equal(numbers, at))
        claims = self._claims(block, self._counting[at].count, places)
        before = -self._so_far[at]
        for claimed, reached in zip(claims, total.take(places).to_pylist(), strict=True):
            if claimed != reached - before:
                raise PermanentError(
                    "trailer_mismatch",
                    f"{self._typing.names[at]} does not state the {reached - before} records read",
                )
            if at in self._sections:
                before = reached
        self._so_far[at] = (total[-1].as_py() if len(total) else 0) - before

    def _claims(self, block: RecordBlock, place: Place | None, at: pa.Array) -> list[int]:
        if place is None or not len(at):
            return []
        field = FixedField(start=place.start, length=place.length, type="zoned")
        cells = block.codec.read(block.records.take(at), field).text.to_pylist()
        if not all(cell.isdecimal() for cell in cells):
            raise PermanentError("trailer_mismatch", "the count of a trailer is not a number")
        return [int(cell) for cell in cells]

    def verify_end(self) -> bool:
        """Raises `trailer_missing`; True when a trailer confirmed the number of records."""
        is_stated = any(at in self._counting for at in self._trailers)
        if is_stated and not self._is_over:
            raise PermanentError("trailer_missing", "the file ends without its trailer record")
        return is_stated


def _is_any(numbers: pa.Array, wanted: list[int]) -> pa.Array:
    return pc.is_in(numbers, value_set=pa.array(wanted, pa.int16()))
