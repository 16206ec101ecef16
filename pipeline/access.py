"""The door to the vault: grants, limits and the audit record, before anything goes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from pipeline.core.audit import Access, AuditedItem, audit_line
from pipeline.core.grants import (
    WITH_PURPOSE,
    Action,
    Caller,
    Grant,
    Grants,
    View,
    parse_grants,
)
from pipeline.core.limits import (
    LOCK,
    OverLimit,
    Usage,
    Window,
    is_guessing,
    later,
    over_limit,
    rolled,
    window_at,
)
from pipeline.core.receipts import iso_time
from pipeline.errors import PermanentError, TransientError
from pipeline.ports import Clock

MAX_GRANTS_AGE = timedelta(seconds=30)  # so long may a withdrawn grant still be used
CHARGE_TRIES = 10  # workers that turn the same page at once: one of them succeeds each time


class GrantsDocument(Protocol):
    """Where the grants stand."""

    def read(self) -> bytes:
        """The TOML document; empty if there is none."""


class Usages(Protocol):
    """What callers had, counted for all workers together."""

    def add(self, counter: str, usage: Usage, limits: tuple[int, int], now: str) -> bool:
        """Adds `usage`'s tokens within its window, if the counter is in that window, not locked,
        and stays within `limits` (a minute's, a day's); says whether it did."""

    def get(self, counter: str) -> Usage | None:
        """The counter as it stands; None if nobody counted yet."""

    def replace(self, counter: str, seen: Usage | None, usage: Usage) -> None:
        """Sets the counter to another window, unless it left the one that was seen."""

    def note_unknown(self, counter: str, count: int) -> Usage:
        """Adds unknown tokens; returns the usage with them."""

    def lock(self, counter: str, until: str) -> None:
        """Lets nothing be added until that time."""


class AuditLog(Protocol):
    """Where every access is recorded."""

    def write(self, line: str, at: datetime) -> None:
        """Records it durably before it returns; raises `TransientError` if it cannot."""


class RefusedError(PermanentError):
    """The caller may not, or has to wait; the code says why."""

    def __init__(self, code: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(code)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asks for: an action on `count` tokens or PANs, in one scope or any.

    `tokens` are those asked about, as far as they have the form of a token; `job_id` is the bulk
    job that they are opened for.
    """

    caller: Caller
    action: Action
    count: int
    purpose: str = ""
    view: View = "masked"
    scope: str | None = None
    tokens: Sequence[str] = ()
    job_id: str | None = None


class Door:
    """Lets requests in that a grant covers, within its limits, and records each of them."""

    def __init__(
        self, document: GrantsDocument, usages: Usages, audit_log: AuditLog, clock: Clock
    ) -> None:
        self._document = document
        self._usages = usages
        self._audit_log = audit_log
        self._clock = clock
        self._grants: Grants | None = None
        self._read_at: datetime | None = None

    def admit(self, request: Request) -> Grant:
        """The grant under which the request goes on; its tokens are counted from here on.

        Raises `RefusedError`, recorded: `caller_unknown`, `not_granted`, `limit_exceeded`,
        `caller_locked`.
        """
        grant = None
        try:
            grant = self._covering(request)
            self._charge(request, grant)
        except RefusedError as refusal:
            self.record_refusal(request, grant, refusal.code)
            raise
        return grant

    def note_unknown(self, request: Request, grant: Grant, items: Sequence[AuditedItem]) -> None:
        """Counts the unknown tokens of a request.

        Raises `RefusedError` `caller_locked`, recorded, when these are so many that somebody must
        be guessing; then nothing of the request is answered.
        """
        count = sum(item.outcome == "unknown_token" for item in items)
        if not count:
            return
        counter = _counter(request)
        if is_guessing(self._usages.note_unknown(counter, count)):
            self._usages.lock(counter, iso_time(self._clock() + LOCK))
            self.record_refusal(request, grant, "caller_locked", items)
            raise RefusedError("caller_locked", round(LOCK.total_seconds()))

    def record_answer(self, request: Request, grant: Grant, items: Sequence[AuditedItem]) -> None:
        """Records what is about to be answered; raises `TransientError` if it cannot."""
        self._record(
            Access(
                request.caller,
                request.action,
                "answered",
                grant=grant.name,
                purpose=request.purpose or None,
                view=request.view if request.action in WITH_PURPOSE else None,
                scope=request.scope,
                job_id=request.job_id,
                items=items,
            )
        )

    def record_refusal(
        self,
        request: Request,
        grant: Grant | None,
        reason: str,
        items: Sequence[AuditedItem] = (),
    ) -> None:
        """Records that the request is refused, and what it was about."""
        items = items or [AuditedItem(token, "refused") for token in request.tokens]
        self._record(
            Access(
                request.caller,
                request.action,
                "refused",
                reason=reason,
                grant=grant.name if grant else None,
                purpose=request.purpose or None,
                view=request.view if request.action in WITH_PURPOSE else None,
                job_id=request.job_id,
                items=items,
            )
        )

    def _record(self, access: Access) -> None:
        now = self._clock()
        asked_for = {item.token for item in access.items}
        access = replace(access, canary=not asked_for.isdisjoint(self._canaries))
        self._audit_log.write(audit_line(access, now), now)

    @property
    def _canaries(self) -> frozenset[str]:
        """Of the grants as they were read last, so that a record needs no second look at them."""
        return self._grants.canaries if self._grants is not None else frozenset()

    def _covering(self, request: Request) -> Grant:
        grants, principal = self._current(), request.caller.principal
        if not principal:
            raise RefusedError("caller_unknown")
        grant = grants.covering(principal, request.action, request.purpose, request.view)
        if grant is None or (request.scope is not None and request.scope not in grant.scopes):
            raise RefusedError("not_granted")
        return grant

    def _current(self) -> Grants:
        now = self._clock()
        if self._grants is None or self._read_at is None or now - self._read_at > MAX_GRANTS_AGE:
            self._grants, self._read_at = parse_grants(self._document.read()), now
        return self._grants

    def _charge(self, request: Request, grant: Grant) -> None:
        """Counts the request's tokens, or raises `RefusedError`.

        A reply that is lost counts twice, to the caller's cost and not to the vault's.
        """
        counter, count, now = _counter(request), request.count, self._clock()
        limits = grant.per_minute, grant.per_day
        window = window_at(now)
        for _ in range(CHARGE_TRIES):
            if self._usages.add(counter, Usage(window, count, count), limits, iso_time(now)):
                return
            seen = self._usages.get(counter)
            window = later(window, seen.window) if seen else window
            usage = _usage_in(seen, window)
            over = over_limit(usage, count, *limits, now)
            if over is not None:
                raise _refusal(over)
            if seen is None or seen.window != window:
                self._usages.replace(counter, seen, usage)
        raise TransientError("limits_contended", "many requests of one caller at once")


def _usage_in(seen: Usage | None, window: Window) -> Usage:
    if seen is None:
        return Usage(window)
    return seen if seen.window == window else rolled(seen, window)


def _refusal(over: OverLimit) -> RefusedError:
    return RefusedError(over.reason, over.retry_after_seconds)


def _counter(request: Request) -> str:
    """Whatever reads the vault one by one counts together, so that no way is a second chance."""
    kind = {"tokenize": "tokenizing", "bulk": "bulk"}.get(request.action, "reading")
    return f"{kind}|{request.caller.principal}"
