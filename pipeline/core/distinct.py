"""The different PANs of a file, at eight bytes each."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc


class DistinctPans:
    """Counts different PANs over all record batches of a file, and knows them again.

    It remembers Python's own 64-bit keyed hash of each, which differs from process to process and
    is written nowhere.
    """

    def __init__(self) -> None:
        self._known = pa.array([], pa.int64())
        self._fresh: list[pa.Array] = []
        self._fresh_rows = 0

    def add(self, pans: Sequence[bytes]) -> None:
        """Takes some more PANs into account."""
        self._fresh.append(_hashes(pans))
        self._fresh_rows += len(pans)
        if self._fresh_rows > 1_000_000 + len(self._known):
            self._merge()

    def those_among(self, candidates: Sequence[bytes]) -> set[bytes]:
        """The candidates that were added before."""
        self._merge()
        known = pc.is_in(_hashes(candidates), value_set=self._known).to_pylist()
        return {pan for pan, is_known in zip(candidates, known, strict=True) if is_known}

    def __len__(self) -> int:
        self._merge()
        return len(self._known)

    def _merge(self) -> None:
        self._known = pa.concat_arrays([self._known, *self._fresh]).unique()
        self._fresh, self._fresh_rows = [], 0


def _hashes(pans: Sequence[bytes]) -> pa.Array:
    return pa.array(memoryview(array("q", map(hash, pans))), pa.int64())
