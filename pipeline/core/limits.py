"""Limits of a caller: tokens each minute and day, and unknown tokens before the door is shut."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from pipeline.core.receipts import iso_time

# 128 random bits are not guessed; whoever tries is a fault or a thief.
MAX_UNKNOWN_PER_MINUTE = 20
MAX_UNKNOWN_PER_DAY = 200
LOCK = timedelta(hours=1)
KEPT_AFTER_LAST_USE = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Window:
    """The minute and the day, in UTC, that tokens are counted in; both sort as text."""

    minute: str
    day: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a caller had in a window. `locked_until` is UTC, ISO 8601, "" for never."""

    window: Window
    minute_tokens: int = 0
    day_tokens: int = 0
    minute_unknown: int = 0
    day_unknown: int = 0
    locked_until: str = ""


@dataclass(frozen=True, slots=True)
class OverLimit:
    """Why a caller has to wait, and for how long."""

    reason: Literal["limit_exceeded", "caller_locked"]
    retry_after_seconds: int


def window_at(now: datetime) -> Window:
    """The window of a moment in UTC."""
    return Window(now.strftime("%Y-%m-%dT%H:%M"), now.strftime("%Y-%m-%d"))


def later(one: Window, other: Window) -> Window:
    """The later of two windows: clocks of workers differ, and a window never comes back."""
    return max(one, other, key=lambda window: window.minute)


def rolled(usage: Usage, window: Window) -> Usage:
    """The usage at the beginning of a later window: what it does not share with the old is 0."""
    is_same_day = usage.window.day == window.day
    return Usage(
        window=window,
        day_tokens=usage.day_tokens if is_same_day else 0,
        day_unknown=usage.day_unknown if is_same_day else 0,
        locked_until=usage.locked_until,
    )


def over_limit(
    usage: Usage, count: int, per_minute: int, per_day: int, now: datetime
) -> OverLimit | None:
    """Why `count` tokens more are too many; None if they are not."""
    if usage.locked_until > iso_time(now):
        left = datetime.fromisoformat(usage.locked_until) - now
        return OverLimit("caller_locked", max(1, round(left.total_seconds())))
    if usage.day_tokens + count > per_day:
        midnight = datetime.fromisoformat(usage.window.day).replace(tzinfo=now.tzinfo)
        left = midnight + timedelta(days=1) - now
        return OverLimit("limit_exceeded", max(1, round(left.total_seconds())))
    if usage.minute_tokens + count > per_minute:
        return OverLimit("limit_exceeded", 60 - now.second)
    return None


def forgiven(usage: Usage) -> Usage:
    """The same usage without unknown tokens and without a lock."""
    return replace(usage, minute_unknown=0, day_unknown=0, locked_until="")


def is_guessing(usage: Usage) -> bool:
    """Whether so many tokens were unknown that the caller is to be locked."""
    return (
        usage.minute_unknown >= MAX_UNKNOWN_PER_MINUTE or usage.day_unknown >= MAX_UNKNOWN_PER_DAY
    )
