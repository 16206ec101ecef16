"""The vault and the fingerprints as tests use them: one call after the other, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from botocore.credentials import ReadOnlyCredentials

from pipeline.aws.dynamodb_calls import DynamoDBCalls
from pipeline.aws.dynamodb_vault import DynamoDBFingerprints, DynamoDBVault
from pipeline.aws.pump import Pump
from pipeline.model import SealedPan, SealedPans
from pipeline.ports import Crew, Fingerprints, Vault
from pipeline.testing import InTurn, MemoryFingerprints, MemoryVault


class Claim(NamedTuple):
    fingerprint: bytes
    token: str


@dataclass
class PlainVault:
    vault: Vault
    crew: Crew

    def insert_if_absent(self, rows: Sequence[SealedPan]) -> None:
        self.crew.run([self.vault.insert_if_absent(sealed(rows))], lambda: True)


@dataclass
class PlainFingerprints:
    fingerprints: Fingerprints
    crew: Crew

    def look_up(self, fingerprints: Sequence[bytes]) -> Mapping[bytes, str]:
        """The known ones."""
        (found,) = self.crew.run([self.fingerprints.look_up(fingerprints)], lambda: True)
        pairs = zip(fingerprints, found, strict=True)
        return {fingerprint: token for fingerprint, token in pairs if token is not None}

    def claim(self, claims: Sequence[Claim]) -> Mapping[bytes, str]:
        fingerprints = [claim.fingerprint for claim in claims]
        tokens = [claim.token for claim in claims]
        (held,) = self.crew.run([self.fingerprints.claim(fingerprints, tokens)], lambda: True)
        return dict(zip(fingerprints, held, strict=True))


def sealed(rows: Sequence[SealedPan]) -> SealedPans:
    """Rows that have data key and origin in common, column by column."""
    first = rows[0] if rows else SealedPan("", b"", "", "", {})
    return SealedPans(
        tokens=[row.token for row in rows],
        ciphertexts=[row.ciphertext for row in rows],
        last4s=[row.metadata.get("last4", "") for row in rows],
        schemes=[row.metadata.get("scheme", "") for row in rows],
        customer_ids=[row.metadata.get("customer_id") for row in rows],
        data_key_id=first.data_key_id,
        created_at=first.created_at,
        scope=first.metadata.get("scope", ""),
        job_id=first.metadata.get("job_id", ""),
        one_time=first.metadata.get("token_mode") == "one_time",
    )


def calls_of(client: Any) -> DynamoDBCalls:
    return DynamoDBCalls(client, lambda: ReadOnlyCredentials("test", "test", None))


def vault_in_dynamodb(client: Any, table: str) -> PlainVault:
    calls = calls_of(client)
    return PlainVault(DynamoDBVault(calls, table), Pump(calls.connect))


def fingerprints_in_dynamodb(client: Any, table: str) -> PlainFingerprints:
    calls = calls_of(client)
    return PlainFingerprints(DynamoDBFingerprints(calls, table), Pump(calls.connect))


def vault_in_memory() -> PlainVault:
    return PlainVault(MemoryVault(), InTurn())


def fingerprints_in_memory() -> PlainFingerprints:
    return PlainFingerprints(MemoryFingerprints(), InTurn())
