"""The different PANs of a chunk, at eight bytes each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.fingerprints import FINGERPRINT_BYTES
from pipeline.errors import TransientError

DIGEST_BYTES = 8
RANGES = 256  # that digests fall into, by their leading byte
HEADER_BYTES = DIGEST_BYTES * (1 + RANGES)  # the key's version, then how many are in each range
_DIGEST = slice(FINGERPRINT_BYTES - DIGEST_BYTES, FINGERPRINT_BYTES)
_BEGINNINGS = pa.array([at << 56 for at in range(RANGES)], pa.uint64())
_FRESH_ROWS = 250_000  # that are put in order together


class DistinctPans:
    """Counts different PANs over the record batches of a chunk.

    It takes fingerprints, and remembers eight bytes of each keyed hash: two PANs of a file of a
    billion are taken for one with a probability of one in forty. During a succession of keys it
    goes by the earlier one. Fingerprints under different keys cannot be held against each other:
    `TransientError` `fingerprint_key_changed`, and the file has to be read from its beginning.
    """

    def __init__(self) -> None:
        self.key_version: int | None = None
        self._known = pa.array([], pa.uint64())  # in order, each once
        self._fresh: list[pa.Array] = []
        self._fresh_rows = 0

    def add(self, fingerprints: Sequence[bytes]) -> None:
        """Takes some more PANs into account."""
        self.key_version = the_key_version([self.key_version, _key_version(fingerprints)])
        self._fresh.append(_digests(fingerprints))
        self._fresh_rows += len(fingerprints)
        if self._fresh_rows > _FRESH_ROWS + len(self._known) // 2:
            self._merge()

    @property
    def digests(self) -> pa.Array:
        """Eight bytes (`uint64`) of each PAN's keyed hash, in order."""
        self._merge()
        return self._known

    @property
    def at_most(self) -> int:
        """How many there may be, found out without putting them in order."""
        return len(self._known) + self._fresh_rows

    def to_bytes(self) -> bytes:
        """A header and the digests, range after range, for `StoredPans` of another worker."""
        begins = [*pc.search_sorted(self.digests, _BEGINNINGS).to_pylist(), len(self)]
        rows = [end - start for start, end in pairwise(begins)]
        header = pa.array([self.key_version or 0, *rows], pa.uint64())
        return b"".join(map(_as_bytes, (header, self.digests)))

    def __len__(self) -> int:
        return len(self.digests)

    def _merge(self) -> None:
        if self._fresh:
            self._known = each_once([self._known, *self._fresh])
            self._fresh, self._fresh_rows = [], 0


class KnownDigests:
    """The PANs of a file, which it knows again by their digests (arrays of `uint64`)."""

    def __init__(self, key_version: int | None, digests: Iterable[pa.Array]) -> None:
        self._key_version = key_version
        self._digests = list(digests)

    @classmethod
    def of(cls, *parts: DistinctPans) -> KnownDigests:
        """Those of all the parts."""
        version = the_key_version([each.key_version for each in parts])
        return cls(version, [each.digests for each in parts])

    def has(self, fingerprints: Sequence[bytes]) -> list[bool]:
        """Whether each of them is the fingerprint of a PAN of the file.

        The few are told apart and all that are known held against them: the other way round takes
        twenty times the memory.
        """
        the_key_version([self._key_version, _key_version(fingerprints)])
        asked = _digests(fingerprints)
        met = [each.filter(pc.is_in(each, value_set=asked)) for each in self._digests]
        found = pa.concat_arrays([pa.array([], pa.uint64()), *met])
        known: list[bool] = pc.is_in(asked, value_set=found).to_pylist()
        return known


def the_key_version(key_versions: Sequence[int | None]) -> int | None:
    """That of all of them, None where there are no PANs; raises `TransientError`."""
    different = set(key_versions) - {None}
    if len(different) > 1:
        raise TransientError("fingerprint_key_changed", "while the file was under way")
    return different.pop() if different else None


def each_once(digests: Sequence[pa.Array]) -> pa.Array:
    """All digests, in order, each once; sorting them takes a tenth of the memory of hashing."""
    together = pa.concat_arrays(digests)
    in_order = together.take(pc.sort_indices(together))
    if len(in_order) < 2:
        return in_order
    is_another = pc.not_equal(in_order[1:], in_order[:-1])
    return in_order.filter(pa.concat_arrays([pa.array([True]), is_another]))


def as_digests(content: bytes) -> pa.Array:
    """Stored digests as Arrow `uint64`."""
    rows = len(content) // DIGEST_BYTES
    return pa.Array.from_buffers(pa.uint64(), rows, [None, pa.py_buffer(content)])


def _as_bytes(digests: pa.Array) -> bytes:
    start = digests.offset * DIGEST_BYTES
    content = digests.buffers()[1]
    return content.slice(start, len(digests) * DIGEST_BYTES).to_pybytes() if content else b""


def _key_version(fingerprints: Sequence[bytes]) -> int | None:
    return fingerprints[0][0] if fingerprints else None


def _digests(fingerprints: Sequence[bytes]) -> pa.Array:
    return as_digests(b"".join([each[_DIGEST] for each in fingerprints]))
