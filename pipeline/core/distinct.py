"""How many different PANs a file holds, at eight bytes each."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import pyarrow as pa


class DistinctPans:
    """Counts different PANs over all record batches of a file.

    It remembers Python's own 64-bit keyed hash of each, which differs from process to process and
    is written nowhere.
    """

    def __init__(self) -> None:
        self._known = pa.array([], pa.int64())
        self._fresh: list[pa.Array] = []
        self._fresh_rows = 0

    def add(self, pans: Sequence[bytes]) -> None:
        """Takes some more PANs into account."""
        hashes = array("q", map(hash, pans))
        self._fresh.append(pa.array(memoryview(hashes), pa.int64()))
        self._fresh_rows += len(pans)
        if self._fresh_rows > 1_000_000 + len(self._known):
            self._merge()

    def __len__(self) -> int:
        self._merge()
        return len(self._known)

    def _merge(self) -> None:
        self._known = pa.concat_arrays([self._known, *self._fresh]).unique()
        self._fresh, self._fresh_rows = [], 0
