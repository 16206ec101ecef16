"""Which versions of the fingerprint key are in use, which scopes are closed, what may come next.

A version is replaced in three steps, so that workers that know of a step and workers that do not
yet never give a card two tokens:

1. `begin_succession`: the new version stands beside the old one. Who knows both claims a card under
   the old one first, and then its token under the new one. Who knows only the old one does the
   first half of that: both settle on the token that the old version's claim gave.
2. Re-indexing, begun once every worker knows both: each token is claimed under the new version.
3. `finish_succession`: the new version alone. Every card that has a token has it under the new
   version now; what a worker of step 1 claims last is a claim under the new version as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from pipeline.core.receipts import iso_time
from pipeline.errors import PermanentError

FIRST_VERSION = 1
LAST_VERSION = 255  # a version is one byte in front of each fingerprint

# How long a worker may act on a key ring: what it keeps for an hour it may use for one more
# invocation, which Lambda ends after 15 minutes. The rest is for clocks that differ.
MAX_KEY_RING_AGE = timedelta(hours=1)
GRACE = timedelta(hours=2)

MIN_SHRED_WAIT = timedelta(days=1)
DEFAULT_SHRED_WAIT = timedelta(days=7)

ScopeState = Literal["closed", "shredded"]


@dataclass(frozen=True, slots=True)
class ClosedScope:
    """A scope in which nothing is tokenized any more; from `shred_from` on its keys may go."""

    state: ScopeState
    closed_at: str
    shred_from: str


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The versions of the fingerprint key in use, oldest first (one, or two in a succession).

    `changed_at` is when the versions last changed, None if never. `reindexed_from` is when the
    re-indexing began that went through under these versions. `generation` counts the changes, so
    that two people do not overwrite one another's.
    """

    versions: tuple[int, ...] = (FIRST_VERSION,)
    changed_at: str | None = None
    reindexed_from: str | None = None
    scopes: Mapping[str, ClosedScope] = field(default_factory=dict)
    generation: int = 0

    @property
    def current(self) -> int:
        """The newest version."""
        return self.versions[-1]

    def is_settled(self, now: datetime) -> bool:
        """Whether all workers know these versions, and there is only one of them."""
        return len(self.versions) == 1 and self.is_known_to_all(now)

    def is_known_to_all(self, now: datetime) -> bool:
        """Whether no worker acts on what was before."""
        return self.changed_at is None or now - _time(self.changed_at) > GRACE

    def is_retired(self, version: int) -> bool:
        """Whether the version is in use no more."""
        return version < self.versions[0]

    def is_shredded(self, scope: str) -> bool:
        """Whether the keys of the scope are destroyed, or about to be."""
        return scope in self.scopes and self.scopes[scope].state == "shredded"

    def as_json(self) -> dict[str, Any]:
        """A JSON document that `ring_from_json` understands."""
        return {
            "versions": list(self.versions),
            "changed_at": self.changed_at,
            "reindexed_from": self.reindexed_from,
            "scopes": {
                name: {
                    "state": scope.state,
                    "closed_at": scope.closed_at,
                    "shred_from": scope.shred_from,
                }
                for name, scope in self.scopes.items()
            },
            "generation": self.generation,
        }


def ring_from_json(document: Mapping[str, Any]) -> KeyRing:
    """The key ring that `as_json` gave."""
    scopes = {name: ClosedScope(**scope) for name, scope in document["scopes"].items()}
    versions = tuple(document["versions"])
    return KeyRing(**{**document, "versions": versions, "scopes": scopes})


def begin_succession(ring: KeyRing, now: datetime) -> KeyRing:
    """The next version beside the current one.

    Raises `PermanentError` `succession_under_way`, or `versions_used_up` after version 255.
    """
    if len(ring.versions) > 1:
        raise PermanentError("succession_under_way", "finish it before the next one")
    if ring.current >= LAST_VERSION:
        raise PermanentError("versions_used_up", f"version {LAST_VERSION} is the last one")
    versions = (ring.current, ring.current + 1)
    return _next(replace(ring, versions=versions, changed_at=iso_time(now), reindexed_from=None))


def reindexed(ring: KeyRing, begun_at: datetime) -> KeyRing:
    """Notes that a re-indexing which began then has gone through."""
    may_reindex(ring, begun_at)
    return _next(replace(ring, reindexed_from=iso_time(begun_at)))


def may_reindex(ring: KeyRing, begun_at: datetime) -> None:
    """Raises `PermanentError`: `no_succession`, or `too_early` while a worker may know less."""
    if len(ring.versions) == 1:
        raise PermanentError("no_succession", "only one version is in use")
    if not ring.is_known_to_all(begun_at):
        raise PermanentError("too_early", f"workers know both versions {GRACE} after the beginning")


def finish_succession(ring: KeyRing, now: datetime) -> KeyRing:
    """The new version alone.

    Raises `PermanentError` `no_succession`, or `not_reindexed` while there may be a card whose
    token is not claimed under the new version.
    """
    if len(ring.versions) == 1:
        raise PermanentError("no_succession", "only one version is in use")
    if ring.reindexed_from is None:
        raise PermanentError("not_reindexed", "run `pantok keys fingerprint reindex` first")
    return _next(replace(ring, versions=(ring.current,), changed_at=iso_time(now)))


def close_scope(ring: KeyRing, scope: str, now: datetime, wait: timedelta) -> KeyRing:
    """Nothing is tokenized in the scope any more, and after `wait` its keys may be destroyed.

    Raises `PermanentError` `scope_closed` if it is already, `too_early` for a wait that is shorter
    than a day: workers that do not know of it yet still make keys.
    """
    if scope in ring.scopes:
        raise PermanentError("scope_closed", f"since {ring.scopes[scope].closed_at}")
    if wait < MIN_SHRED_WAIT:
        raise PermanentError("too_early", f"wait {MIN_SHRED_WAIT.days} day at least")
    closed = ClosedScope("closed", iso_time(now), iso_time(now + wait))
    return _next(replace(ring, scopes={**ring.scopes, scope: closed}))


def reopen_scope(ring: KeyRing, scope: str) -> KeyRing:
    """Takes the closing back; raises `PermanentError` `scope_not_closed`, `scope_shredded`."""
    if scope not in ring.scopes:
        raise PermanentError("scope_not_closed", "there is nothing to take back")
    if ring.scopes[scope].state == "shredded":
        raise PermanentError("scope_shredded", "its keys are gone")
    return _next(replace(ring, scopes={k: v for k, v in ring.scopes.items() if k != scope}))


def may_shred(ring: KeyRing, scope: str, now: datetime) -> None:
    """Raises `PermanentError`: `scope_not_closed`, or `too_early` before the wait is over."""
    if scope not in ring.scopes:
        raise PermanentError("scope_not_closed", "close it first, then wait")
    if now < _time(ring.scopes[scope].shred_from):
        raise PermanentError("too_early", f"not before {ring.scopes[scope].shred_from}")


def scope_shredded(ring: KeyRing, scope: str, now: datetime) -> KeyRing:
    """Notes that the keys of the scope go now; it stays closed for ever.

    This is noted before the first key goes, so that nobody opens the scope again meanwhile.
    """
    may_shred(ring, scope, now)
    shredded = replace(ring.scopes[scope], state="shredded")
    return _next(replace(ring, scopes={**ring.scopes, scope: shredded}))


def _next(ring: KeyRing) -> KeyRing:
    return replace(ring, generation=ring.generation + 1)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
