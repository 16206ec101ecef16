"""The different PANs of a whole file, which the workers of its chunks left to be put together.

A chunk's digests are stored by ranges. Where many chunks left many of them, a few ranges of all
chunks are put together at a time: the memory that it takes does not follow the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import pyarrow as pa

from pipeline.core.distinct import (
    DIGEST_BYTES,
    HEADER_BYTES,
    RANGES,
    KnownDigests,
    as_digests,
    each_once,
    the_key_version,
)

MOST_AT_ONCE = 1_500_000  # digests, which take 40 bytes each to be put together

Ranges = tuple[int, int]
"""The first of some neighbouring ranges, and the one behind the last."""

ALL_RANGES: Ranges = (0, RANGES)


class StoredPans:
    """What `DistinctPans.to_bytes` gave, of which `read` gives some bytes from a place on."""

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        version, *rows = as_digests(read(0, HEADER_BYTES)).to_pylist()
        self.key_version: int | None = version or None
        self._read = read
        self._begins: list[int] = list(accumulate(rows, initial=0))

    def rows(self, some: Ranges) -> int:
        """How many digests are in these ranges."""
        return self._begins[some[1]] - self._begins[some[0]]

    def digests(self, some: Ranges) -> pa.Array:
        """The digests (`uint64`) of these ranges, in order."""
        start = HEADER_BYTES + self._begins[some[0]] * DIGEST_BYTES
        rows = self.rows(some)
        return as_digests(self._read(start, rows * DIGEST_BYTES) if rows else b"")


def ranges_to_unite(stored: Sequence[StoredPans]) -> Iterator[Ranges]:
    """As many neighbouring ranges together as may be put together at once."""
    first = 0
    for behind in range(1, RANGES + 1):
        is_last = behind == RANGES
        if is_last or sum(each.rows((first, behind + 1)) for each in stored) > MOST_AT_ONCE:
            yield first, behind
            first = behind


def united(stored: Sequence[StoredPans], some: Ranges) -> pa.Array:
    """The different digests of these ranges, in order; raises `fingerprint_key_changed`."""
    the_key_version([each.key_version for each in stored])
    return each_once([pa.array([], pa.uint64()), *(each.digests(some) for each in stored)])


def known_digests(stored: Sequence[StoredPans]) -> KnownDigests:
    """All of them at eight bytes each, to know them again; raises `fingerprint_key_changed`."""
    version = the_key_version([each.key_version for each in stored])
    return KnownDigests(version, (united(stored, some) for some in ranges_to_unite(stored)))
