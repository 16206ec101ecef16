"""Data keys at work: the one that a chunk seals under, and the fingerprint key of a warm worker."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

from pipeline.core.envelope import MAX_SEALS_PER_DATA_KEY, Entropy
from pipeline.core.fingerprints import Fingerprinter
from pipeline.core.keyring import FIRST_VERSION, MAX_KEY_RING_AGE
from pipeline.core.receipts import iso_time
from pipeline.errors import PermanentError
from pipeline.model import DataKey
from pipeline.ports import Clock, DataKeyRecords, KeyService

FINGERPRINT_KEY_VERSION = FIRST_VERSION  # the one that a deployment begins with
MAX_FINGERPRINT_KEY_AGE = MAX_KEY_RING_AGE  # after that, KMS is asked again and may say no
MAX_DATA_KEY_AGE = timedelta(hours=1)  # PCI DSS 3.7.4: a data key's cryptoperiod, by our choice


def fingerprint_data_key_id(version: int) -> str:
    """The id under which the wrapped fingerprint key of that version is stored."""
    return f"fingerprint-{version}"


def random_id(prefix: str, entropy: Entropy) -> str:
    """An id that nothing else has: the prefix and 128 random bits in base32."""
    return prefix + base64.b32encode(entropy(16)).decode("ascii").rstrip("=").lower()


class ChunkDataKey:
    """The data key of one chunk: made on first use, its wrapped form stored before anything else.

    NIST SP 800-38D 8.3 limits how often a key may seal under random nonces; beyond that limit, or
    when the key is older than `MAX_DATA_KEY_AGE`, the chunk gets another one. `data_key_ids` is
    where the ids of the keys made are noted.
    """

    def __init__(
        self,
        key_service: KeyService,
        records: DataKeyRecords,
        clock: Clock,
        entropy: Entropy,
        *,
        job_id: str,
        scope: str,
        data_key_ids: list[str],
    ) -> None:
        self._key_service = key_service
        self._records = records
        self._clock = clock
        self._entropy = entropy
        self._context = {"purpose": "vault", "job_id": job_id, "scope": scope}
        self._data_key: DataKey | None = None
        self._made_at: datetime | None = None
        self._seals = 0
        self._data_key_ids = data_key_ids

    def for_seals(self, count: int) -> DataKey:
        """A data key that may still seal `count` PANs."""
        if self._data_key is None or self._has_exceeded_limits(count):
            self._made_at = self._clock()
            self._data_key = self._fresh(self._made_at)
            self._seals = 0
        self._seals += count
        return self._data_key

    def _has_exceeded_limits(self, count: int) -> bool:
        is_worn = self._seals + count > MAX_SEALS_PER_DATA_KEY
        return is_worn or _is_older(self._made_at, MAX_DATA_KEY_AGE, self._clock())

    def _fresh(self, now: datetime) -> DataKey:
        data_key_id = random_id("dk_", self._entropy)
        data_key, wrapped = self._key_service.generate_data_key(
            data_key_id, {**self._context, "data_key_id": data_key_id}, iso_time(now)
        )
        self._records.insert_if_absent(wrapped)
        self._data_key_ids.append(data_key_id)
        return data_key


class FingerprintKey:
    """Unwraps the versions of the fingerprint key in use, and keeps them for a limited time."""

    def __init__(self, key_service: KeyService, records: DataKeyRecords, clock: Clock) -> None:
        self._key_service = key_service
        self._records = records
        self._clock = clock
        self._fingerprinter: Fingerprinter | None = None
        self._unwrapped_at: datetime | None = None

    def fingerprinter(self) -> Fingerprinter:
        """Ready to fingerprint; asks KMS when there is none yet or it has grown too old."""
        now = self._clock()
        if self._fingerprinter is None or _is_older(
            self._unwrapped_at, MAX_FINGERPRINT_KEY_AGE, now
        ):
            self._fingerprinter = unwrapped_fingerprinter(self._key_service, self._records)
            self._unwrapped_at = now
        return self._fingerprinter


def unwrapped_fingerprinter(key_service: KeyService, records: DataKeyRecords) -> Fingerprinter:
    """Fingerprints under the versions that the key ring has now."""
    ring = records.key_ring()
    fingerprinter: Fingerprinter | None = None
    for version in ring.versions:
        data_key = key_service.unwrap(records.get(fingerprint_data_key_id(version)))
        fingerprinter = Fingerprinter(
            data_key.plaintext, version, earlier=fingerprinter, closed_scopes=ring.scopes.keys()
        )
    if fingerprinter is None:
        raise PermanentError("invalid_key_ring", "no version of the fingerprint key")
    return fingerprinter


def _is_older(since: datetime | None, age: timedelta, now: datetime) -> bool:
    return since is not None and now - since > age
