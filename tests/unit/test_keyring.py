"""Versions of the fingerprint key and closed scopes: what may follow what, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.core.keyring import (
    GRACE,
    LAST_VERSION,
    MIN_SHRED_WAIT,
    KeyRing,
    begin_succession,
    close_scope,
    finish_succession,
    may_reindex,
    may_shred,
    reindexed,
    reopen_scope,
    ring_from_json,
    scope_shredded,
)
from pipeline.errors import PermanentError
from pipeline.testing import A_MOMENT

MILLISECOND = timedelta(milliseconds=1)
KNOWN = A_MOMENT + GRACE + MILLISECOND
WAIT = timedelta(days=7)


def test_a_version_is_succeeded_by_the_next_one() -> None:
    both = begin_succession(KeyRing(), A_MOMENT)
    assert (both.versions, both.current) == ((1, 2), 2)
    alone = finish_succession(reindexed(both, KNOWN), KNOWN)
    assert (alone.versions, alone.generation) == ((2,), 3)
    assert begin_succession(alone, KNOWN).versions == (2, 3)


def test_a_re_indexing_counts_once_every_worker_knows_both_versions() -> None:
    both = begin_succession(KeyRing(), A_MOMENT)
    may_reindex(both, KNOWN)
    for begun_at in (A_MOMENT, A_MOMENT + GRACE):
        with pytest.raises(PermanentError, match="too_early"):
            reindexed(both, begun_at)


def test_nothing_is_finished_that_was_not_re_indexed() -> None:
    both = begin_succession(KeyRing(), A_MOMENT)
    with pytest.raises(PermanentError, match="not_reindexed"):
        finish_succession(both, KNOWN)


def test_steps_out_of_turn_are_refused() -> None:
    both = begin_succession(KeyRing(), A_MOMENT)
    with pytest.raises(PermanentError, match="succession_under_way"):
        begin_succession(both, KNOWN)
    for step in (reindexed, finish_succession):
        with pytest.raises(PermanentError, match="no_succession"):
            step(KeyRing(), KNOWN)


def test_the_earlier_re_indexing_does_not_count_for_the_next_succession() -> None:
    alone = finish_succession(reindexed(begin_succession(KeyRing(), A_MOMENT), KNOWN), KNOWN)
    assert begin_succession(alone, KNOWN).reindexed_from is None


def test_a_version_fits_into_a_byte() -> None:
    ring = KeyRing(versions=(LAST_VERSION - 1,))
    last = begin_succession(ring, A_MOMENT)
    assert last.current == LAST_VERSION == 255
    with pytest.raises(PermanentError, match="versions_used_up"):
        begin_succession(replace(last, versions=(LAST_VERSION,)), KNOWN)


def test_it_is_settled_when_one_version_is_known_to_all() -> None:
    both = begin_succession(KeyRing(), A_MOMENT)
    alone = finish_succession(reindexed(both, KNOWN), KNOWN)
    assert KeyRing().is_settled(A_MOMENT)
    assert not both.is_settled(KNOWN)
    assert not alone.is_settled(KNOWN + GRACE)
    assert alone.is_settled(KNOWN + GRACE + MILLISECOND)


def test_a_scope_is_shredded_after_its_wait_and_not_before() -> None:
    closed = close_scope(KeyRing(), "shop", A_MOMENT, WAIT)
    with pytest.raises(PermanentError, match="too_early"):
        may_shred(closed, "shop", A_MOMENT + WAIT - MILLISECOND)
    shredded = scope_shredded(closed, "shop", A_MOMENT + WAIT)
    assert shredded.is_shredded("shop")
    assert not closed.is_shredded("shop")
    with pytest.raises(PermanentError, match="scope_shredded"):
        reopen_scope(shredded, "shop")
    with pytest.raises(PermanentError, match="scope_closed"):
        close_scope(shredded, "shop", A_MOMENT, WAIT)


def test_a_closed_scope_can_be_opened_again() -> None:
    closed = close_scope(KeyRing(), "shop", A_MOMENT, WAIT)
    assert reopen_scope(closed, "shop").scopes == {}
    for act in (lambda: reopen_scope(KeyRing(), "x"), lambda: may_shred(closed, "x", KNOWN)):
        with pytest.raises(PermanentError, match="scope_not_closed"):
            act()


def test_the_wait_is_longer_than_a_worker_acts_on_what_was() -> None:
    assert close_scope(KeyRing(), "shop", A_MOMENT, MIN_SHRED_WAIT)
    assert MIN_SHRED_WAIT > GRACE
    with pytest.raises(PermanentError, match="too_early"):
        close_scope(KeyRing(), "shop", A_MOMENT, MIN_SHRED_WAIT - MILLISECOND)


def test_a_ring_is_read_as_it_was_written() -> None:
    ring = close_scope(begin_succession(KeyRing(), A_MOMENT), "shop", A_MOMENT, WAIT)
    for each in (
        KeyRing(),
        ring,
        reindexed(ring, KNOWN),
        scope_shredded(ring, "shop", KNOWN + WAIT),
    ):
        assert ring_from_json(each.as_json()) == each
