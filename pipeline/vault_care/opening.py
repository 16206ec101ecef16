"""Vault rows opened by those who may, and fingerprinted anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.core.envelope import open_sealed
from pipeline.core.fingerprints import Fingerprinter
from pipeline.errors import PermanentError
from pipeline.keys import fingerprint_data_key_id
from pipeline.model import DataKey, SealedPan
from pipeline.ports import DataKeyRecords, KeyService

MAX_DATA_KEYS_HELD = 1_000
UNREADABLE = frozenset({"data_key_missing", "data_key_broken", "seal_broken"})


class Opener:
    """Opens rows; keeps some unwrapped data keys, so that KMS is asked once for each of those."""

    def __init__(self, records: DataKeyRecords, key_service: KeyService) -> None:
        self._records = records
        self._key_service = key_service
        self._data_keys: dict[str, DataKey] = {}

    def open(self, row: SealedPan) -> bytes:
        """The PAN; raises `PermanentError` with one of the codes in `UNREADABLE`."""
        data_key = self._data_key(row.data_key_id)
        return open_sealed(row.ciphertext, row.token, row.metadata["scope"], data_key)

    def _data_key(self, data_key_id: str) -> DataKey:
        if data_key_id not in self._data_keys:
            if len(self._data_keys) >= MAX_DATA_KEYS_HELD:
                self._data_keys.clear()
            self._data_keys[data_key_id] = self._key_service.unwrap(self._records.get(data_key_id))
        return self._data_keys[data_key_id]


class Identifier:
    """Finds the fingerprints that belong to rows, under each version of the key in use."""

    def __init__(
        self, versions: Sequence[int], records: DataKeyRecords, key_service: KeyService
    ) -> None:
        self._opener = Opener(records, key_service)
        self._fingerprinters = [
            Fingerprinter(
                key_service.unwrap(records.get(fingerprint_data_key_id(version))).plaintext, version
            )
            for version in versions
        ]

    def fingerprints(self, row: SealedPan) -> tuple[bytes, ...]:
        """The row's fingerprints, oldest version first; raises what `Opener.open` raises."""
        pan, scope = self._opener.open(row), row.metadata["scope"]
        return tuple(each.fingerprints([pan], scope)[0] for each in self._fingerprinters)

    def readable(self, rows: Sequence[SealedPan]) -> Mapping[str, tuple[bytes, ...]]:
        """The fingerprints by token of those rows that can be opened."""
        found: dict[str, tuple[bytes, ...]] = {}
        for row in rows:
            try:
                found[row.token] = self.fingerprints(row)
            except PermanentError as error:
                if error.code not in UNREADABLE:
                    raise
        return found


def is_one_time(row: SealedPan) -> bool:
    """Whether no fingerprint leads to the row, by its layout's wish."""
    return row.metadata.get("token_mode") == "one_time"
