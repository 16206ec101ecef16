"""Counting different PANs in little memory."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.distinct import DIGEST_BYTES, DistinctPans
from pipeline.core.fingerprints import Fingerprinter
from pipeline.errors import TransientError

FINGERPRINTER = Fingerprinter(b"k" * 32, 1)
NUMBERS = st.lists(st.integers(10**11, 10**11 + 30))


def fingerprints(numbers: list[int]) -> list[bytes]:
    return FINGERPRINTER.fingerprints([str(number).encode() for number in numbers], "scope")


@settings(max_examples=100)
@given(st.lists(NUMBERS, max_size=5), NUMBERS)
def test_a_pan_counts_once_however_often_it_comes(
    batches: list[list[int]], candidates: list[int]
) -> None:
    distinct, expected = DistinctPans(), set[int]()
    for pans in batches:
        distinct.add(fingerprints(pans))
        expected |= set(pans)
        assert len(distinct) == len(expected)
    assert distinct.has(fingerprints(candidates)) == [each in expected for each in candidates]


@settings(max_examples=50)
@given(NUMBERS, NUMBERS)
def test_two_parts_of_a_file_are_counted_together_by_somebody_else(
    first: list[int], second: list[int]
) -> None:
    whole = DistinctPans()
    for pans in (first, second):
        part = DistinctPans()
        part.add(fingerprints(pans))
        whole.add_all(DistinctPans.from_bytes(part.to_bytes()))
    assert len(whole) == len({*first, *second})
    assert all(whole.has(fingerprints([*first, *second])))


def test_nothing_was_added_yet() -> None:
    distinct = DistinctPans()
    assert len(distinct) == 0
    assert distinct.has([]) == []
    assert distinct.has(fingerprints([10**15])) == [False]
    assert distinct.to_bytes() == b""


def test_a_million_pans_take_eight_bytes_each() -> None:
    distinct = DistinctPans()
    pans = [b"\1" + number.to_bytes(32, "big") for number in range(300_000)]
    for _ in range(5):
        distinct.add(pans)
    assert len(distinct) == 300_000
    assert len(distinct.to_bytes()) == DIGEST_BYTES * (1 + 300_000)


def test_no_pan_is_remembered_in_clear() -> None:
    distinct = DistinctPans()
    distinct.add(fingerprints([4111111111111111]))
    assert b"4111111111111111" not in distinct.to_bytes()
    assert "4111111111111111" not in repr(distinct) + repr(vars(distinct))


def test_fingerprints_under_another_key_are_not_held_against_these() -> None:
    old, new = FINGERPRINTER, Fingerprinter(b"n" * 32, 2)
    distinct = DistinctPans()
    distinct.add(old.fingerprints([b"4111111111111111"], "scope"))
    later = DistinctPans()
    later.add(new.fingerprints([b"4111111111111111"], "scope"))
    both = Fingerprinter(b"n" * 32, 2, earlier=old)
    distinct.add(both.fingerprints([b"4111111111111111"], "scope"))
    assert len(distinct) == 1
    for act in (
        lambda: distinct.add(new.fingerprints([b"5555555555554444"], "scope")),
        lambda: distinct.has(new.fingerprints([b"5555555555554444"], "scope")),
        lambda: distinct.add_all(later),
        lambda: DistinctPans.from_bytes(distinct.to_bytes()).add_all(later),
    ):
        with pytest.raises(TransientError, match="fingerprint_key_changed"):
            act()
