"""The different PANs of a file, at eight bytes each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.fingerprints import FINGERPRINT_BYTES
from pipeline.errors import TransientError

DIGEST_BYTES = 8
_HEADER_BYTES = 8  # as many as a digest, so that these stay aligned
_DIGEST = slice(FINGERPRINT_BYTES - DIGEST_BYTES, FINGERPRINT_BYTES)


class DistinctPans:
    """Counts different PANs over all record batches of a file, and knows them again.

    It takes fingerprints, and remembers eight bytes of each keyed hash: two PANs of a file of a
    billion are taken for one with a probability of one in forty. During a succession of keys it
    goes by the earlier one. Fingerprints under different keys cannot be held against each other:
    `TransientError` `fingerprint_key_changed`, and the file has to be read from its beginning.
    """

    def __init__(self) -> None:
        self._key_version: int | None = None
        self._known = pa.array([], pa.int64())
        self._fresh: list[pa.Array] = []
        self._fresh_rows = 0

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Knows those again that `to_bytes` gave."""
        distinct = cls()
        if content:
            distinct._key_version = int.from_bytes(content[:_HEADER_BYTES], "big")
            distinct._known = _as_array(content[_HEADER_BYTES:])
        return distinct

    def to_bytes(self) -> bytes:
        """Key version and eight bytes of each PAN's keyed hash, for another worker to go on."""
        self._merge()
        if self._key_version is None:
            return b""
        digests = bytes(self._known.buffers()[1] or b"")[: len(self._known) * DIGEST_BYTES]
        return self._key_version.to_bytes(_HEADER_BYTES, "big") + digests

    def add(self, fingerprints: Sequence[bytes]) -> None:
        """Takes some more PANs into account."""
        self._go_by(_key_version(fingerprints))
        self._take(_digests(fingerprints))

    def add_all(self, others: DistinctPans) -> None:
        """Takes the PANs of another part of the file into account."""
        others._merge()
        self._go_by(others._key_version)
        self._take(others._known)

    def has(self, fingerprints: Sequence[bytes]) -> list[bool]:
        """Whether each of them was added before."""
        self._held_against(_key_version(fingerprints))
        self._merge()
        known: list[bool] = pc.is_in(_digests(fingerprints), value_set=self._known).to_pylist()
        return known

    def __len__(self) -> int:
        self._merge()
        return len(self._known)

    def _go_by(self, key_version: int | None) -> None:
        self._held_against(key_version)
        if key_version is not None:
            self._key_version = key_version

    def _held_against(self, key_version: int | None) -> None:
        if None not in (key_version, self._key_version) and key_version != self._key_version:
            raise TransientError("fingerprint_key_changed", "while the file was under way")

    def _take(self, digests: pa.Array) -> None:
        self._fresh.append(digests)
        self._fresh_rows += len(digests)
        if self._fresh_rows > 1_000_000 + len(self._known):
            self._merge()

    def _merge(self) -> None:
        if self._fresh:
            self._known = pa.concat_arrays([self._known, *self._fresh]).unique()
            self._fresh, self._fresh_rows = [], 0


def _key_version(fingerprints: Sequence[bytes]) -> int | None:
    return fingerprints[0][0] if fingerprints else None


def _digests(fingerprints: Sequence[bytes]) -> pa.Array:
    return _as_array(b"".join([each[_DIGEST] for each in fingerprints]))


def _as_array(content: bytes) -> pa.Array:
    rows = len(content) // DIGEST_BYTES
    return pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(content)])
