"""A whole scope destroyed by destroying its data keys: closed first, shredded after a wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.core.keyring import ClosedScope, close_scope, may_shred, reopen_scope, scope_shredded
from pipeline.vault_care.ports import DataKeyStore, KeptDataKey


@dataclass(frozen=True, slots=True)
class ScopeFigures:
    """How many data keys a scope has, and when the first and the last were made."""

    data_keys: int
    first_made_at: str | None
    last_made_at: str | None


def figures(store: DataKeyStore, scope: str) -> ScopeFigures:
    """What shredding the scope would destroy."""
    made_at = [kept.record.created_at for kept in _of_scope(store, scope)]
    return ScopeFigures(len(made_at), min(made_at, default=None), max(made_at, default=None))


def close(store: DataKeyStore, scope: str, now: datetime, wait: timedelta) -> ClosedScope:
    """Ends tokenization in the scope; its tokens still open until it is shredded."""
    ring = close_scope(store.key_ring(), scope, now, wait)
    store.save_key_ring(ring)
    return ring.scopes[scope]


def reopen(store: DataKeyStore, scope: str) -> None:
    """Takes the closing back."""
    store.save_key_ring(reopen_scope(store.key_ring(), scope))


def shred(store: DataKeyStore, scope: str, now: datetime) -> int:
    """Destroys the wrapped data keys of the scope, and returns how many; can be repeated.

    A data key names its scope in its encryption context, and serves no other. Raises
    `PermanentError`: `scope_not_closed`, or `too_early` before the wait is over.
    """
    ring = store.key_ring()
    may_shred(ring, scope, now)
    if not ring.is_shredded(scope):
        store.save_key_ring(scope_shredded(ring, scope, now))
    destroyed = 0
    while found := list(_of_scope(store, scope)):
        for kept in found:
            store.destroy(kept.record)
        destroyed += len(found)
    return destroyed


def _of_scope(store: DataKeyStore, scope: str) -> Iterator[KeptDataKey]:
    for kept in store.all():
        record = kept.record
        if record.purpose == "vault" and record.encryption_context.get("scope") == scope:
            yield kept
