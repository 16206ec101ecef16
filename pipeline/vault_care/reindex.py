"""Every token claimed under the new version of the fingerprint key too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.keyring import KeyRing, may_reindex, reindexed
from pipeline.errors import PermanentError, TransientError
from pipeline.model import SealedPan
from pipeline.ports import Clock, KeyService
from pipeline.vault_care.opening import Identifier, is_one_time
from pipeline.vault_care.passes import Pass, Progress
from pipeline.vault_care.ports import Claim, DataKeyStore, FingerprintStore, VaultStore


@dataclass
class Reindexed:
    """What a pass came to, in rows.

    `orphans` have no fingerprint under the earlier version, `unreadable` cannot be opened, and
    `shredded` are those of the latter whose scope was shredded. `differing` counts cards that have
    another token under the new version: there is no way to get there, and it is no success.
    """

    rows: int = 0
    claimed: int = 0
    already: int = 0
    orphans: int = 0
    one_time: int = 0
    unreadable: int = 0
    shredded: int = 0
    differing: int = 0


@dataclass
class Reindexing:
    """One pass over the vault; it can be cut off after any page and taken up again."""

    vault: VaultStore
    fingerprints: FingerprintStore
    data_keys: DataKeyStore
    key_service: KeyService
    clock: Clock
    progress: Progress
    on_page: Callable[[int], None] = lambda _rows: None

    def run(self) -> Reindexed:
        """Goes over all rows and notes in the key ring that it did.

        Raises `PermanentError` `no_succession`, `too_early`, or `rows_unreadable` when a row of a
        scope that was not shredded cannot be opened, `TransientError` `key_ring_changed`.
        """
        ring = self.data_keys.key_ring()
        begun_at = self.progress.begun_at(self.clock(), ring.generation)
        may_reindex(ring, begun_at)
        identifier = Identifier(ring.versions, self.data_keys, self.key_service)
        counts = Reindexed(**self.progress.counts)
        for rows in Pass(self.vault.page, self.progress, "vault").pages():
            self._page(rows, identifier, ring, counts)
            self.progress.counts = vars(counts)
            self.on_page(len(rows))
        if counts.unreadable or counts.differing:
            self.progress.forget()
            raise PermanentError(
                "rows_unreadable", f"{counts.unreadable} rows, and {counts.differing} differ"
            )
        self.data_keys.save_key_ring(reindexed(ring, begun_at))
        self.progress.forget()
        return counts

    def _page(
        self, rows: Sequence[SealedPan], identifier: Identifier, ring: KeyRing, counts: Reindexed
    ) -> None:
        if self.data_keys.key_ring().generation != ring.generation:
            raise TransientError("key_ring_changed", "begin again")
        wanted = [row for row in rows if not is_one_time(row)]
        pairs = identifier.readable(wanted)
        lost = [row.metadata["scope"] for row in wanted if row.token not in pairs]
        shredded = sum(ring.is_shredded(scope) for scope in lost)
        counts.rows += len(rows)
        counts.one_time += len(rows) - len(wanted)
        counts.shredded += shredded
        counts.unreadable += len(lost) - shredded
        self._claim(pairs, counts)

    def _claim(self, pairs: Mapping[str, tuple[bytes, ...]], counts: Reindexed) -> None:
        """Claims each token under the current version that holds under the earlier one."""
        earlier = self.fingerprints.held([pair[0] for pair in pairs.values()])
        ours = {token: pair for token, pair in pairs.items() if earlier.get(pair[0]) == token}
        current = self.fingerprints.held([pair[-1] for pair in ours.values()])
        claims = [Claim(pair[-1], token) for token, pair in ours.items() if pair[-1] not in current]
        winners = {**current, **self.fingerprints.claim(claims)}
        counts.orphans += len(pairs) - len(ours)
        counts.claimed += len(claims)
        counts.already += len(ours) - len(claims)
        counts.differing += sum(winners[pair[-1]] != token for token, pair in ours.items())
