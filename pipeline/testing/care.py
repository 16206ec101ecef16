"""What the keepers of keys and vault need, in memory, over the same stores that a worker fills."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from pipeline.core.keyring import KeyRing
from pipeline.errors import TransientError
from pipeline.model import SealedPan, WrappedDataKey
from pipeline.ports import Clock
from pipeline.testing import (
    MemoryDataKeys,
    MemoryFingerprints,
    MemoryKeys,
    MemoryVault,
    result_of,
)
from pipeline.vault_care.forget import Forgotten
from pipeline.vault_care.ports import Claim, KeptDataKey, Page

PAGE_ITEMS = 10


class MemoryKeyStore:
    """Over `MemoryDataKeys`, whose records a worker adds to."""

    def __init__(self, data_keys: MemoryDataKeys) -> None:
        self._data_keys = data_keys
        self.rewrapped_at: dict[str, str] = {}
        self.insert_if_absent = data_keys.insert_if_absent
        self.get = data_keys.get
        self.key_ring = data_keys.key_ring

    def all(self) -> Iterator[KeptDataKey]:
        """Every record."""
        for record in list(self._data_keys.records.values()):
            yield KeptDataKey(record, self.rewrapped_at.get(record.data_key_id))

    def replace(self, old: WrappedDataKey, new: WrappedDataKey, rewrapped_at: str) -> bool:
        """False if the old form is not there any more."""
        records = self._data_keys.records
        here = records.get(old.data_key_id)
        if here is None or here.wrapped_key not in (old.wrapped_key, new.wrapped_key):
            return False
        records[old.data_key_id] = new
        self.rewrapped_at[old.data_key_id] = rewrapped_at
        return True

    def destroy(self, record: WrappedDataKey) -> None:
        """Harmless if that has been done."""
        self._data_keys.records.pop(record.data_key_id, None)

    def save_key_ring(self, ring: KeyRing) -> None:
        """Raises `TransientError` `key_ring_changed`."""
        here = self._data_keys.ring
        if here != ring and here.generation != ring.generation - 1:
            raise TransientError("key_ring_changed", "somebody else changed it meanwhile")
        self._data_keys.ring = ring


class MemoryRenewal:
    """Over `MemoryKeys`; when each key was rotated is in `rotations`."""

    def __init__(self, keys: MemoryKeys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self.rotations: dict[str, datetime] = {}

    def rewrap(self, record: WrappedDataKey, key_arn: str) -> WrappedDataKey:
        """Raises `PermanentError` `data_key_broken`."""
        return self._keys.rewrap(record, key_arn)

    def generate_wrapped(
        self, data_key_id: str, encryption_context: Mapping[str, str], key_arn: str, created_at: str
    ) -> WrappedDataKey:
        """A fresh fingerprint key."""
        return self._keys.generate_data_key(data_key_id, encryption_context, created_at)[1]

    def rotate(self, key_arn: str) -> None:
        """Notes the moment."""
        self.rotations[key_arn] = self._clock()

    def rotated_at(self, key_arn: str) -> datetime | None:
        """None if the key has its first material."""
        return self.rotations.get(key_arn)


class MemoryVaultStore:
    """Over `MemoryVault`."""

    def __init__(self, vault: MemoryVault) -> None:
        self._vault = vault

    def page(self, segment: int, segments: int, position: str | None) -> Page[SealedPan]:
        """Segments take turns in the order of tokens."""
        tokens = sorted(self._vault.rows)
        tokens = [each for each in tokens if sum(each.encode()) % segments == segment]
        later = [each for each in tokens if position is None or each > position]
        some = later[:PAGE_ITEMS]
        rows = [self._vault.rows[token] for token in some]
        return Page(rows, some[-1] if len(later) > PAGE_ITEMS else None)

    def get(self, tokens: Sequence[str]) -> Mapping[str, SealedPan]:
        """The rows of those tokens that exist."""
        return {each: self._vault.rows[each] for each in tokens if each in self._vault.rows}

    def destroy(self, token: str) -> None:
        """Harmless if that has been done."""
        self._vault.rows.pop(token, None)


class MemoryFingerprintStore:
    """Over `MemoryFingerprints`."""

    def __init__(self, fingerprints: MemoryFingerprints) -> None:
        self._fingerprints = fingerprints

    def held(self, fingerprints: Sequence[bytes]) -> Mapping[bytes, str]:
        """The tokens of those fingerprints that exist."""
        found = result_of(self._fingerprints.look_up(fingerprints))
        pairs = zip(fingerprints, found, strict=True)
        return {fingerprint: token for fingerprint, token in pairs if token is not None}

    def claim(self, claims: Sequence[Claim]) -> Mapping[bytes, str]:
        """The first claim of a fingerprint holds."""
        fingerprints = [claim.fingerprint for claim in claims]
        tokens = [claim.token for claim in claims]
        winners = result_of(self._fingerprints.claim(fingerprints, tokens))
        return dict(zip(fingerprints, winners, strict=True))

    def page(self, segment: int, segments: int, position: str | None) -> Page[Claim]:
        """Segments go by the last byte."""
        tokens = dict(self._fingerprints.tokens)
        ours = sorted(each for each in tokens if each[-1] % segments == segment)
        later = [each for each in ours if position is None or each.hex() > position]
        some = later[:PAGE_ITEMS]
        claims = [Claim(each, tokens[each]) for each in some]
        return Page(claims, some[-1].hex() if len(later) > PAGE_ITEMS else None)

    def destroy(self, claim: Claim) -> None:
        """Harmless if that has been done, or the fingerprint has another token."""
        if self._fingerprints.tokens.get(claim.fingerprint) == claim.token:
            del self._fingerprints.tokens[claim.fingerprint]


class MemoryTrail:
    """What was forgotten, in `entries`."""

    def __init__(self) -> None:
        self.entries: dict[str, Forgotten] = {}

    def note(self, forgotten: Forgotten) -> None:
        """The first entry of a token stands."""
        self.entries.setdefault(forgotten.token, forgotten)

    def entry(self, token: str) -> Forgotten | None:
        """None if it was not forgotten."""
        return self.entries.get(token)
