"""From a token back to its PAN, for the few who may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pipeline.core.envelope import open_sealed
from pipeline.errors import PermanentError
from pipeline.model import DataKey, Pans, SealedPan
from pipeline.ports import DataKeyRecords, KeyService


class VaultReader(Protocol):
    """The vault as seen by those who may read it; the worker may not."""

    def get(self, tokens: Sequence[str]) -> Mapping[str, SealedPan]:
        """The rows of those tokens that exist."""


def detokenize(
    tokens: Sequence[str], vault: VaultReader, records: DataKeyRecords, key_service: KeyService
) -> Pans:
    """The PANs behind the tokens, in order; each data key is unwrapped once.

    Raises `PermanentError`: `unknown_token` with its place only, since what is no token may be a
    PAN, `data_key_missing`, `data_key_broken`, or `seal_broken` when a row does not belong to its
    token, scope and data key.
    """
    rows = vault.get(tokens)
    data_keys: dict[str, DataKey] = {}
    digits: list[bytes] = []
    for number, token in enumerate(tokens, start=1):
        row = rows.get(token)
        if row is None:
            raise PermanentError("unknown_token", f"number {number} of {len(tokens)}")
        if row.data_key_id not in data_keys:
            data_keys[row.data_key_id] = key_service.unwrap(records.get(row.data_key_id))
        scope = row.metadata["scope"]
        digits.append(open_sealed(row.ciphertext, token, scope, data_keys[row.data_key_id]))
    return Pans(digits)
