"""Limits: windows go forward, locks outlast them, and the edge is where it is said to be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.limits import (
    MAX_UNKNOWN_PER_DAY,
    MAX_UNKNOWN_PER_MINUTE,
    Usage,
    forgiven,
    is_guessing,
    later,
    over_limit,
    rolled,
    window_at,
)

NOW = datetime(2026, 11, 25, 23, 59, 40, tzinfo=UTC)
USAGE = Usage(window_at(NOW), minute_tokens=8, day_tokens=95, minute_unknown=1, day_unknown=7)


def test_a_minute_holds_as_many_as_granted_and_not_one_more() -> None:
    assert over_limit(USAGE, 2, per_minute=10, per_day=1000, now=NOW) is None
    over = over_limit(USAGE, 3, per_minute=10, per_day=1000, now=NOW)
    assert over is not None
    assert (over.reason, over.retry_after_seconds) == ("limit_exceeded", 20)


def test_a_day_holds_as_many_as_granted_and_not_one_more() -> None:
    assert over_limit(USAGE, 5, per_minute=100, per_day=100, now=NOW) is None
    over = over_limit(USAGE, 6, per_minute=100, per_day=100, now=NOW)
    assert over is not None
    assert (over.reason, over.retry_after_seconds) == ("limit_exceeded", 20)


def test_the_next_minute_of_a_day_begins_with_what_the_day_had() -> None:
    next_minute = window_at(datetime(2026, 11, 25, 23, 58, tzinfo=UTC))
    turned = rolled(USAGE, next_minute)
    assert (turned.minute_tokens, turned.minute_unknown) == (0, 0)
    assert (turned.day_tokens, turned.day_unknown) == (95, 7)


def test_the_next_day_begins_with_nothing_but_the_lock() -> None:
    locked = replace(USAGE, locked_until="2026-11-26T00:30:00.000Z")
    turned = rolled(locked, window_at(datetime(2026, 11, 26, 0, 0, tzinfo=UTC)))
    assert turned == Usage(turned.window, locked_until="2026-11-26T00:30:00.000Z")


def test_a_lock_comes_before_any_limit_and_ends_by_itself() -> None:
    locked = replace(USAGE, locked_until="2026-11-26T00:00:00.000Z")
    over = over_limit(locked, 1, 100, 1000, NOW)
    assert over is not None
    assert (over.reason, over.retry_after_seconds) == ("caller_locked", 20)
    assert over_limit(locked, 1, 100, 1000, datetime(2026, 11, 26, tzinfo=UTC)) is None


def test_unknown_tokens_lock_at_the_number_and_not_before() -> None:
    for name, most in (
        ("minute_unknown", MAX_UNKNOWN_PER_MINUTE),
        ("day_unknown", MAX_UNKNOWN_PER_DAY),
    ):
        assert is_guessing(replace(USAGE, **{name: most}))
        assert not is_guessing(replace(USAGE, **{name: most - 1}))


def test_whoever_is_forgiven_keeps_what_they_had() -> None:
    locked = replace(USAGE, locked_until="2026-11-26T00:00:00.000Z")
    assert forgiven(locked) == Usage(USAGE.window, 8, 95)


moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)


@given(moments, moments)
def test_the_later_window_is_that_of_the_later_moment(one: datetime, other: datetime) -> None:
    assert later(window_at(one), window_at(other)) == window_at(max(one, other))
