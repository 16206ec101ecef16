"""Counting different PANs in little memory."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.distinct import DistinctPans

PANS = st.lists(st.integers(10**11, 10**11 + 30).map(lambda number: str(number).encode()))


@settings(max_examples=100)
@given(st.lists(PANS, max_size=5), PANS)
def test_a_pan_counts_once_however_often_it_comes(
    batches: list[list[bytes]], candidates: list[bytes]
) -> None:
    distinct, expected = DistinctPans(), set[bytes]()
    for pans in batches:
        distinct.add(pans)
        expected |= set(pans)
        assert len(distinct) == len(expected)
    assert distinct.those_among(candidates) == expected & set(candidates)


def test_nothing_was_added_yet() -> None:
    distinct = DistinctPans()
    assert len(distinct) == 0
    assert distinct.those_among([]) == set()
    assert distinct.those_among([b"4" * 16]) == set()


def test_millions_of_pans_are_counted() -> None:
    distinct = DistinctPans()
    pans = [str(number).encode() for number in range(10**15, 10**15 + 300_000)]
    for _ in range(5):
        distinct.add(pans)
    assert len(distinct) == 300_000


def test_no_pan_is_remembered_in_clear() -> None:
    distinct = DistinctPans()
    distinct.add([b"4111111111111111"])
    assert "4111111111111111" not in repr(distinct) + repr(vars(distinct))
    assert len(distinct) == 1
    assert "4111111111111111" not in repr(vars(distinct))
