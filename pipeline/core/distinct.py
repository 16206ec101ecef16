"""The different PANs of a file, at eight bytes each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.fingerprints import FINGERPRINT_BYTES

DIGEST_BYTES = 8
_DIGEST = slice(FINGERPRINT_BYTES - DIGEST_BYTES, FINGERPRINT_BYTES)


class DistinctPans:
    """Counts different PANs over all record batches of a file, and knows them again.

    It takes fingerprints, and remembers eight bytes of each keyed hash: two PANs of a file of a
    billion are taken for one with a probability of one in forty.
    """

    def __init__(self) -> None:
        self._known = pa.array([], pa.int64())
        self._fresh: list[pa.Array] = []
        self._fresh_rows = 0

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Knows those again that `to_bytes` gave."""
        distinct = cls()
        distinct._known = _as_array(content)
        return distinct

    def to_bytes(self) -> bytes:
        """Eight bytes of each PAN's keyed hash, for another worker to go on with."""
        self._merge()
        return bytes(self._known.buffers()[1] or b"")[: len(self._known) * DIGEST_BYTES]

    def add(self, fingerprints: Sequence[bytes]) -> None:
        """Takes some more PANs into account."""
        self._take(_digests(fingerprints))

    def add_all(self, others: DistinctPans) -> None:
        """Takes the PANs of another part of the file into account."""
        others._merge()
        self._take(others._known)

    def has(self, fingerprints: Sequence[bytes]) -> list[bool]:
        """Whether each of them was added before."""
        self._merge()
        known: list[bool] = pc.is_in(_digests(fingerprints), value_set=self._known).to_pylist()
        return known

    def __len__(self) -> int:
        self._merge()
        return len(self._known)

    def _take(self, digests: pa.Array) -> None:
        self._fresh.append(digests)
        self._fresh_rows += len(digests)
        if self._fresh_rows > 1_000_000 + len(self._known):
            self._merge()

    def _merge(self) -> None:
        if self._fresh:
            self._known = pa.concat_arrays([self._known, *self._fresh]).unique()
            self._fresh, self._fresh_rows = [], 0


def _digests(fingerprints: Sequence[bytes]) -> pa.Array:
    return _as_array(b"".join([each[_DIGEST] for each in fingerprints]))


def _as_array(content: bytes) -> pa.Array:
    rows = len(content) // DIGEST_BYTES
    return pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(content)])
