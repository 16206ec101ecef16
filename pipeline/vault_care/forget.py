"""One card forgotten: its fingerprint and its row destroyed, and that it was so is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from pipeline.core.keyring import KeyRing
from pipeline.core.receipts import iso_time
from pipeline.errors import PermanentError
from pipeline.model import SealedPan
from pipeline.ports import Clock, DataKeyRecords, KeyService
from pipeline.vault_care.opening import Identifier, is_one_time
from pipeline.vault_care.passes import Pass, Progress
from pipeline.vault_care.ports import Claim, FingerprintStore, VaultStore


@dataclass(frozen=True, slots=True)
class Forgotten:
    """That a token was forgotten: who did it, when and what for. Nothing of the card."""

    token: str
    purpose: str
    principal: str
    at: str


class ForgottenTrail(Protocol):
    """What was forgotten, for ever."""

    def note(self, forgotten: Forgotten) -> None:
        """Adds an entry, durably; the first one of a token stands."""

    def entry(self, token: str) -> Forgotten | None:
        """The entry of that token."""


def must_be_settled(ring: KeyRing, now: datetime) -> None:
    """Raises `PermanentError` `succession_under_way` while a worker could claim what was destroyed.

    A worker that knows two versions of the fingerprint key claims under one of them what it found
    under the other; between the two, the card could be forgotten.
    """
    if not ring.is_settled(now):
        raise PermanentError(
            "succession_under_way", "nothing is forgotten until one version is known to all"
        )


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Forgets cards, by somebody for a purpose.

    The fingerprint goes first: cut off there, the card is as good as new to the pipeline, and the
    row, which still opens, shows that the work is to be repeated. The other way round, the card
    would keep a token that opens no more, and nobody could find its fingerprint again. It goes once
    more at the end, in case that somebody restored or claimed it meanwhile.
    """

    vault: VaultStore
    fingerprints: FingerprintStore
    data_keys: DataKeyRecords
    key_service: KeyService
    trail: ForgottenTrail
    clock: Clock
    principal: str
    purpose: str

    def forget(self, tokens: Sequence[str]) -> list[Forgotten]:
        """What is noted of each token, in order; one forgotten before is left at that.

        Raises `PermanentError` `unknown_token` with its place only, or what keeps a row from being
        opened: `data_key_missing`, `data_key_broken`, `seal_broken`.
        """
        identifier = self._identifier()
        rows = self.vault.get(tokens)
        return [self._one(token, at, rows, identifier) for at, token in enumerate(tokens, start=1)]

    def expire(
        self, scope: str, older_than: timedelta, progress: Progress, *, is_dry_run: bool
    ) -> Iterator[tuple[int, int]]:
        """Forgets the rows of a scope that are older; yields how many of a page's rows are.

        Raises `PermanentError` `succession_under_way` when one begins meanwhile.
        """
        identifier = self._identifier()
        progress.begun_at(self.clock(), self.data_keys.key_ring().generation)
        before = iso_time(self.clock() - older_than)
        for rows in Pass(self.vault.page, progress, f"expire/{scope}").pages():
            old = [row for row in rows if row.metadata["scope"] == scope]
            old = [row for row in old if row.created_at < before]
            if not is_dry_run:
                for row in old:
                    self._destroy(row, identifier)
            yield len(rows), len(old)
        progress.forget()

    def _identifier(self) -> Identifier:
        ring = self.data_keys.key_ring()
        must_be_settled(ring, self.clock())
        return Identifier(ring.versions, self.data_keys, self.key_service)

    def _one(
        self, token: str, at: int, rows: Mapping[str, SealedPan], identifier: Identifier
    ) -> Forgotten:
        if token in rows:
            return self._destroy(rows[token], identifier)
        entry = self.trail.entry(token)
        if entry is None:
            raise PermanentError("unknown_token", f"number {at} of those given")
        return entry

    def _destroy(self, row: SealedPan, identifier: Identifier) -> Forgotten:
        # Asked for each row: a pass takes hours, in which a succession may begin.
        must_be_settled(self.data_keys.key_ring(), self.clock())
        fingerprints = () if is_one_time(row) else identifier.fingerprints(row)
        forgotten = Forgotten(row.token, self.purpose, self.principal, iso_time(self.clock()))
        self.trail.note(forgotten)
        destroy_row(row.token, fingerprints, self.fingerprints, self.vault)
        return forgotten


def destroy_row(
    token: str, fingerprints: Sequence[bytes], store: FingerprintStore, vault: VaultStore
) -> None:
    """Fingerprints, row, and the fingerprints again; those of another token stay."""
    steps: list[Callable[[], None]] = [
        lambda each=each: store.destroy(Claim(each, token))  # type: ignore[misc]
        for each in fingerprints
    ]
    for step in (*steps, lambda: vault.destroy(token), *steps):
        step()
