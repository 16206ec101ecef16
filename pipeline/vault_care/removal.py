"""What an audit found to be of no use, removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from pipeline.core.keyring import KeyRing
from pipeline.ports import KeyService
from pipeline.vault_care.opening import Identifier
from pipeline.vault_care.passes import Pass, Progress
from pipeline.vault_care.ports import DataKeyStore, FingerprintStore, VaultStore

ROWS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Removal:
    """Removes rows and fingerprints; `removed` counts them by kind."""

    vault: VaultStore
    fingerprints: FingerprintStore
    data_keys: DataKeyStore
    ring: KeyRing
    removed: Counter[str] = field(default_factory=Counter)

    def orphans(self, tokens: Iterable[str], key_service: KeyService) -> None:
        """Each one opened first, to see that no fingerprint of its card leads to it."""
        identifier = Identifier(self.ring.versions, self.data_keys, key_service)
        for some in chunks(tokens):
            found = identifier.readable(list(self.vault.get(some).values()))
            held = self.fingerprints.held([each for group in found.values() for each in group])
            for token, fingerprints in found.items():
                if not any(held.get(each) == token for each in fingerprints):
                    self.vault.destroy(token)
                    self.removed["orphans"] += 1

    def fingerprints_of(self, tokens: Collection[str], *, also_retired: bool) -> None:
        """The fingerprints that lead to these tokens, and those under retired keys."""
        for claims in Pass(self.fingerprints.page, Progress(), "removal").pages():
            for claim in claims:
                is_retired = also_retired and self.ring.is_retired(claim.fingerprint[0])
                if is_retired or claim.token in tokens:
                    self.fingerprints.destroy(claim)
                    self.removed["fingerprints"] += 1

    def rows(self, tokens: Iterable[str]) -> None:
        """Rows of shredded scopes, after their fingerprints: who finds the one needs the other."""
        for token in tokens:
            self.vault.destroy(token)
            self.removed["shredded"] += 1


def chunks(tokens: Iterable[str]) -> Iterator[list[str]]:
    """The tokens, as many at a time as one request takes."""
    some: list[str] = []
    for token in tokens:
        some.append(token)
        if len(some) == ROWS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some
