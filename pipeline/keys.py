"""Data keys at work: the one that a chunk seals under, and the fingerprint key of a warm worker."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

from pipeline.core.envelope import MAX_SEALS_PER_DATA_KEY, Entropy
from pipeline.core.fingerprints import Fingerprinter
from pipeline.core.receipts import iso_time
from pipeline.model import DataKey
from pipeline.ports import Clock, DataKeyRecords, KeyService

FINGERPRINT_KEY_VERSION = 1
MAX_FINGERPRINT_KEY_AGE = timedelta(hours=1)  # after that, KMS is asked again and may say no


def fingerprint_data_key_id(version: int) -> str:
    """The id under which the wrapped fingerprint key of that version is stored."""
    return f"fingerprint-{version}"


def random_id(prefix: str, entropy: Entropy) -> str:
    """An id that nothing else has: the prefix and 128 random bits in base32."""
    return prefix + base64.b32encode(entropy(16)).decode("ascii").rstrip("=").lower()


class ChunkDataKey:
    """The data key of one chunk: made on first use, its wrapped form stored before anything else.

    NIST SP 800-38D 8.3 limits how often a key may seal under random nonces; beyond that limit, the
    chunk gets another one. `data_key_ids` is where the ids of the keys made are noted.
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
        self._seals = 0
        self._data_key_ids = data_key_ids

    def for_seals(self, count: int) -> DataKey:
        """A data key that may still seal `count` PANs."""
        if self._data_key is None or self._seals + count > MAX_SEALS_PER_DATA_KEY:
            self._data_key = self._fresh()
            self._seals = 0
        self._seals += count
        return self._data_key

    def _fresh(self) -> DataKey:
        data_key_id = random_id("dk_", self._entropy)
        data_key, wrapped = self._key_service.generate_data_key(
            data_key_id,
            {**self._context, "data_key_id": data_key_id},
            iso_time(self._clock()),
        )
        self._records.insert_if_absent(wrapped)
        self._data_key_ids.append(data_key_id)
        return data_key


class FingerprintKey:
    """Unwraps the fingerprint key once and keeps it for a limited time."""

    def __init__(self, key_service: KeyService, records: DataKeyRecords, clock: Clock) -> None:
        self._key_service = key_service
        self._records = records
        self._clock = clock
        self._fingerprinter: Fingerprinter | None = None
        self._unwrapped_at: datetime | None = None

    def fingerprinter(self) -> Fingerprinter:
        """Ready to fingerprint; asks KMS when there is none yet or it has grown too old."""
        if self._fingerprinter is None or self._has_exceeded_age():
            record = self._records.get(fingerprint_data_key_id(FINGERPRINT_KEY_VERSION))
            data_key = self._key_service.unwrap(record)
            self._fingerprinter = Fingerprinter(data_key.plaintext, FINGERPRINT_KEY_VERSION)
            self._unwrapped_at = self._clock()
        return self._fingerprinter

    def _has_exceeded_age(self) -> bool:
        return (
            self._unwrapped_at is not None
            and self._clock() - self._unwrapped_at > MAX_FINGERPRINT_KEY_AGE
        )
