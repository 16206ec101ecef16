"""A key service, its data keys' records and keys that open uploads, in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipeline.core.envelope import DATA_KEY_BYTES, NONCE_BYTES, Entropy
from pipeline.core.keyring import KeyRing
from pipeline.errors import PermanentError
from pipeline.model import DataKey, PrivateKey, WrappedDataKey


class MemoryDataKeys:
    """Wrapped data keys by id, in `records`; the key ring in `ring`."""

    def __init__(self) -> None:
        self.records: dict[str, WrappedDataKey] = {}
        self.ring = KeyRing()

    def insert_if_absent(self, record: WrappedDataKey) -> None:
        """One of the same id stays as it is."""
        self.records.setdefault(record.data_key_id, record)

    def get(self, data_key_id: str) -> WrappedDataKey:
        """Raises `PermanentError` `data_key_missing`."""
        if data_key_id not in self.records:
            raise PermanentError("data_key_missing", data_key_id)
        return self.records[data_key_id]

    def key_ring(self) -> KeyRing:
        """Which versions of the fingerprint key are in use."""
        return self.ring


class MemoryKeys:
    """A key service with a master key of its own; a wrong context does not unwrap."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._master = AESGCM(entropy(DATA_KEY_BYTES))
        self.generated = 0

    def generate_data_key(
        self, data_key_id: str, encryption_context: Mapping[str, str], created_at: str
    ) -> tuple[DataKey, WrappedDataKey]:
        """A fresh data key."""
        self.generated += 1
        plaintext = self._entropy(DATA_KEY_BYTES)
        record = WrappedDataKey(
            data_key_id=data_key_id,
            wrapped_key=self._wrapped(plaintext, encryption_context),
            key_arn="arn:aws:kms:us-east-1:000000000000:key/memory",
            purpose="fingerprint" if encryption_context["purpose"] == "fingerprint" else "vault",
            encryption_context=dict(encryption_context),
            created_at=created_at,
        )
        return DataKey(data_key_id, plaintext), record

    def unwrap(self, record: WrappedDataKey) -> DataKey:
        """Raises `PermanentError` `data_key_broken` when key or context were changed."""
        nonce, wrapped = record.wrapped_key[:NONCE_BYTES], record.wrapped_key[NONCE_BYTES:]
        try:
            plaintext = self._master.decrypt(nonce, wrapped, _canonical(record.encryption_context))
        except InvalidTag:
            raise PermanentError("data_key_broken", record.data_key_id) from None
        return DataKey(record.data_key_id, plaintext)

    def rewrap(self, record: WrappedDataKey, key_arn: str) -> WrappedDataKey:
        """Raises `PermanentError` `data_key_broken`."""
        plaintext = self.unwrap(record).plaintext
        wrapped_key = self._wrapped(plaintext, record.encryption_context)
        return replace(record, wrapped_key=wrapped_key, key_arn=key_arn)

    def _wrapped(self, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        nonce = self._entropy(NONCE_BYTES)
        return nonce + self._master.encrypt(nonce, plaintext, _canonical(context))


class MemoryDecryptionKeys:
    """Private keys by the name that a layout has for them, in `keys`."""

    def __init__(self) -> None:
        self.keys: dict[str, PrivateKey] = {}

    def get(self, uri: str) -> PrivateKey:
        """Raises `PermanentError` `decryption_key_missing`."""
        if uri not in self.keys:
            raise PermanentError("decryption_key_missing", uri)
        return self.keys[uri]


def _canonical(context: Mapping[str, str]) -> bytes:
    return json.dumps(dict(context), sort_keys=True).encode()
