"""Counting different PANs in little memory."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core import stored_pans
from pipeline.core.distinct import DIGEST_BYTES, HEADER_BYTES, DistinctPans, KnownDigests
from pipeline.core.fingerprints import Fingerprinter
from pipeline.core.stored_pans import (
    ALL_RANGES,
    StoredPans,
    known_digests,
    ranges_to_unite,
    united,
)
from pipeline.errors import TransientError

FINGERPRINTER = Fingerprinter(b"k" * 32, 1)
NUMBERS = st.lists(st.integers(10**11, 10**11 + 30))


def fingerprints(numbers: list[int]) -> list[bytes]:
    return FINGERPRINTER.fingerprints([str(number).encode() for number in numbers], "scope")


def pans(numbers: list[int]) -> DistinctPans:
    distinct = DistinctPans()
    distinct.add(fingerprints(numbers))
    return distinct


def stored(distinct: DistinctPans) -> StoredPans:
    """As another worker finds it, which reads no more than it asks for."""
    content = distinct.to_bytes()

    def read(start: int, size_bytes: int) -> bytes:
        assert 0 < size_bytes <= len(content) - start
        return content[start : start + size_bytes]

    return StoredPans(read)


def counted(parts: Sequence[StoredPans]) -> int:
    return sum(len(united(parts, some)) for some in ranges_to_unite(parts))


@settings(max_examples=100)
@given(st.lists(NUMBERS, max_size=5), NUMBERS)
def test_a_pan_counts_once_however_often_it_comes(
    batches: list[list[int]], candidates: list[int]
) -> None:
    distinct, expected = DistinctPans(), set[int]()
    for numbers in batches:
        distinct.add(fingerprints(numbers))
        expected |= set(numbers)
        assert distinct.at_most >= len(expected)
        assert len(distinct) == len(expected)
    known = KnownDigests.of(distinct)
    assert known.has(fingerprints(candidates)) == [each in expected for each in candidates]


@settings(max_examples=100)
@given(st.lists(NUMBERS, min_size=1, max_size=4), NUMBERS, st.integers(1, 40))
def test_the_chunks_of_a_file_are_counted_together_however_little_fits_at_once(
    chunks: list[list[int]], candidates: list[int], most_at_once: int
) -> None:
    parts = [stored(pans(numbers)) for numbers in chunks]
    expected = {number for numbers in chunks for number in numbers}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_pans, "MOST_AT_ONCE", most_at_once)
        assert counted(parts) == len(expected)
        known = known_digests(parts)
    assert known.has(fingerprints(candidates)) == [each in expected for each in candidates]


def test_no_more_is_put_together_at_once_than_has_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_pans, "MOST_AT_ONCE", 100)
    parts = [stored(pans(list(range(at * 300, at * 300 + 400)))) for at in range(3)]
    ranges = list(ranges_to_unite(parts))
    assert [first for first, _ in ranges] == [0, *(behind for _, behind in ranges[:-1])]
    assert ranges[-1][1] == ALL_RANGES[1]
    assert all(sum(part.rows(some) for part in parts) <= 100 for some in ranges)
    assert counted(parts) == 1000


def test_few_are_put_together_in_one_go() -> None:
    assert list(ranges_to_unite([stored(pans([1, 2])), stored(pans([2, 3]))])) == [ALL_RANGES]


def test_nothing_was_added_yet() -> None:
    distinct = DistinctPans()
    assert len(distinct) == 0
    assert KnownDigests.of(distinct).has([]) == []
    assert KnownDigests.of(distinct).has(fingerprints([10**15])) == [False]
    assert counted([stored(distinct)]) == 0
    assert known_digests([stored(distinct)]).has(fingerprints([10**15])) == [False]
    assert counted([]) == 0


def test_a_million_pans_take_eight_bytes_each() -> None:
    distinct = DistinctPans()
    some = [b"\1" + number.to_bytes(32, "big") for number in range(300_000)]
    for _ in range(5):
        distinct.add(some)
    assert len(distinct) == 300_000
    assert len(distinct.to_bytes()) == HEADER_BYTES + DIGEST_BYTES * 300_000


def test_putting_them_in_order_takes_little_memory_beside_them() -> None:
    distinct, pool = DistinctPans(), pa.default_memory_pool()
    most, before = 0, pool.bytes_allocated()
    for start in range(0, 600_000, 50_000):
        numbers = range(start, start + 50_000)
        distinct.add([b"\1" + (each * 0x9E3779B97F4A7C15).to_bytes(32, "big") for each in numbers])
        most = max(most, pool.bytes_allocated() - before)
    assert len(distinct) == 600_000
    assert most <= 2 * DIGEST_BYTES * 600_000


def test_no_pan_is_remembered_in_clear() -> None:
    distinct = pans([4111111111111111])
    known = KnownDigests.of(distinct)
    assert b"4111111111111111" not in distinct.to_bytes()
    assert "4111111111111111" not in repr(distinct) + repr(vars(distinct)) + repr(vars(known))


def test_fingerprints_under_another_key_are_not_held_against_these() -> None:
    old, new = FINGERPRINTER, Fingerprinter(b"n" * 32, 2)
    distinct = DistinctPans()
    distinct.add(old.fingerprints([b"4111111111111111"], "scope"))
    later = DistinctPans()
    later.add(new.fingerprints([b"4111111111111111"], "scope"))
    both = Fingerprinter(b"n" * 32, 2, earlier=old)
    distinct.add(both.fingerprints([b"4111111111111111"], "scope"))
    assert len(distinct) == 1
    foreign = new.fingerprints([b"5555555555554444"], "scope")
    for act in (
        lambda: distinct.add(foreign),
        lambda: KnownDigests.of(distinct).has(foreign),
        lambda: known_digests([stored(distinct)]).has(foreign),
        lambda: KnownDigests.of(distinct, later),
        lambda: counted([stored(distinct), stored(later)]),
        lambda: known_digests([stored(distinct), stored(later)]),
    ):
        with pytest.raises(TransientError, match="fingerprint_key_changed"):
            act()
