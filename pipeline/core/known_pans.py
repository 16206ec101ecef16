"""The PANs of a file, as the guard looks for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property

from pipeline.core.arrow import pa, pc
from pipeline.core.pans import MAX_PAN_DIGITS, MIN_PAN_DIGITS

BEGINNING_DIGITS = 6  # the shortest issuer identification number, ISO/IEC 7812-1


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

    @property
    def shortest(self) -> int:
        """The digits of the shortest one; more than any PAN has where there are none."""
        return self._lengths[-1] if self._lengths else MAX_PAN_DIGITS + 1

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
        return may_hold(cells, self._beginnings, MIN_PAN_DIGITS)

    def windows(self, digits: str) -> Iterator[tuple[int, int]]:
        """Where a known PAN stands within a run of digits, as start and end."""
        for length in self._lengths:
            for start in range(len(digits) - length + 1):
                if digits[start : start + length] in self._digits:
                    yield start, start + length


NO_KNOWN_PANS = KnownPans()


def beginnings_of(pans: pa.Array) -> pa.Array:
    """The first digits of PANs, each once: issuer numbers, by which most other numbers differ."""
    return pc.unique(pc.utf8_slice_codeunits(pans, 0, BEGINNING_DIGITS))


def may_hold(cells: pa.Array, beginnings: pa.Array, width: int) -> pa.Array:
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
