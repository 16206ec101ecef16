"""What the stores of keepers promise, in memory and in DynamoDB alike."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from pipeline.aws.forgotten_trail import DynamoDBForgottenTrail
from pipeline.aws.key_care import DynamoDBKeyStore
from pipeline.aws.vault_care import DynamoDBFingerprintStore, DynamoDBVaultStore
from pipeline.core.envelope import mint_tokens
from pipeline.core.keyring import KeyRing, begin_succession
from pipeline.errors import PermanentError, TransientError
from pipeline.model import SealedPan, WrappedDataKey
from pipeline.testing import A_MOMENT, InTurn, MemoryDataKeys, MemoryFingerprints, MemoryVault
from pipeline.testing.care import (
    MemoryFingerprintStore,
    MemoryKeyStore,
    MemoryTrail,
    MemoryVaultStore,
)
from pipeline.vault_care.forget import Forgotten, ForgottenTrail
from pipeline.vault_care.passes import SEGMENTS, Pass, Progress
from pipeline.vault_care.ports import Claim, DataKeyStore, FingerprintStore, VaultStore
from tests import vaults
from tests.vaults import (
    PlainFingerprints,
    PlainVault,
    fingerprints_in_dynamodb,
    vault_in_dynamodb,
)


@dataclass
class Stores:
    worker_vault: PlainVault
    worker_fingerprints: PlainFingerprints
    vault: VaultStore
    fingerprints: FingerprintStore
    keys: DataKeyStore
    trail: ForgottenTrail


@pytest.fixture(params=["memory", "dynamodb"])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    if request.param == "memory":
        vault, fingerprints = MemoryVault(), MemoryFingerprints()
        yield Stores(
            PlainVault(vault, InTurn()),
            PlainFingerprints(fingerprints, InTurn()),
            MemoryVaultStore(vault),
            MemoryFingerprintStore(fingerprints),
            MemoryKeyStore(MemoryDataKeys()),
            MemoryTrail(),
        )
    else:
        stack = request.getfixturevalue("local_stack")
        client, outputs = stack.client("dynamodb"), stack.outputs
        yield Stores(
            vault_in_dynamodb(client, outputs["VaultTable"]),
            fingerprints_in_dynamodb(client, outputs["FingerprintsTable"]),
            DynamoDBVaultStore(client, outputs["VaultTable"]),
            DynamoDBFingerprintStore(client, outputs["FingerprintsTable"]),
            DynamoDBKeyStore(client, outputs["DataKeysTable"]),
            DynamoDBForgottenTrail(client, outputs["JobsTable"]),
        )


def _rows(count: int, **more: str) -> list[SealedPan]:
    metadata = {"last4": "1111", "scheme": "visa", "scope": "default", "job_id": "job_x", **more}
    return [
        SealedPan(token, token.encode(), "dk_x", "2026-11-23T12:00:00.000Z", metadata)
        for token in mint_tokens(count, os.urandom)
    ]


def _record() -> WrappedDataKey:
    name = f"dk_{os.urandom(6).hex()}"
    context = {"purpose": "vault", "data_key_id": name, "scope": "shop"}
    return WrappedDataKey(name, os.urandom(60), "arn:aws:kms:x", "vault", context, "2026")


def test_a_pass_sees_every_row_once(stores: Stores) -> None:
    rows = _rows(230)
    stores.worker_vault.insert_if_absent(rows)
    pages = list(Pass(stores.vault.page, Progress(), "x").pages())
    seen = [row for page in pages for row in page]
    assert len({row.token for row in seen}) == len(seen)
    assert {row.token for row in rows} <= {row.token for row in seen}
    assert len(pages) >= SEGMENTS


def test_a_pass_sees_every_fingerprint_once(stores: Stores) -> None:
    claims = [Claim(b"\1" + os.urandom(32), token) for token in mint_tokens(230, os.urandom)]
    stores.worker_fingerprints.claim(
        [vaults.Claim(each.fingerprint, each.token) for each in claims]
    )
    seen = [
        each for page in Pass(stores.fingerprints.page, Progress(), "x").pages() for each in page
    ]
    assert len({each.fingerprint for each in seen}) == len(seen)
    assert set(claims) <= set(seen)


def test_rows_are_read_as_they_were_written_and_destroyed_for_good(stores: Stores) -> None:
    rows = _rows(120)
    stores.worker_vault.insert_if_absent(rows)
    tokens = [row.token for row in rows]
    assert stores.vault.get([*tokens, "tok_nowhere"]) == {row.token: row for row in rows}
    for _ in range(2):
        stores.vault.destroy(tokens[0])
    assert tokens[0] not in stores.vault.get(tokens)
    assert len(stores.vault.get(tokens)) == 119


@pytest.mark.parametrize("more", [{}, {"customer_id": "c%b"}])
def test_rows_of_one_time_tokens_say_so(stores: Stores, more: dict[str, str]) -> None:
    (row,) = _rows(1, token_mode="one_time", **more)
    stores.worker_vault.insert_if_absent([row])
    assert stores.vault.get([row.token]) == {row.token: row}


def test_a_fingerprint_is_destroyed_with_its_own_token_alone(stores: Stores) -> None:
    first, second = mint_tokens(2, os.urandom)
    claim = Claim(b"\1" + os.urandom(32), first)
    assert stores.fingerprints.claim([claim]) == {claim.fingerprint: first}
    assert stores.fingerprints.claim([replace(claim, token=second)]) == {claim.fingerprint: first}
    stores.fingerprints.destroy(replace(claim, token=second))
    assert stores.fingerprints.held([claim.fingerprint]) == {claim.fingerprint: first}
    for _ in range(2):
        stores.fingerprints.destroy(claim)
    assert stores.fingerprints.held([claim.fingerprint]) == {}


def test_a_wrapped_key_is_replaced_where_it_is_still_the_one_that_was_read(stores: Stores) -> None:
    old = _record()
    stores.keys.insert_if_absent(old)
    ours, theirs = (replace(old, wrapped_key=os.urandom(60), key_arn=arn) for arn in ("a", "b"))
    assert stores.keys.replace(old, theirs, "2027")
    assert not stores.keys.replace(old, ours, "2028")
    assert stores.keys.replace(old, theirs, "2027"), "our own write, its reply lost"
    assert stores.keys.get(old.data_key_id) == theirs
    (kept,) = [each for each in stores.keys.all() if each.record.data_key_id == old.data_key_id]
    assert (kept.record, kept.rewrapped_at) == (theirs, "2027")


def test_a_destroyed_key_is_gone_and_is_not_brought_back(stores: Stores) -> None:
    old = _record()
    stores.keys.insert_if_absent(old)
    for _ in range(2):
        stores.keys.destroy(old)
    with pytest.raises(PermanentError, match="data_key_missing"):
        stores.keys.get(old.data_key_id)
    assert not stores.keys.replace(old, replace(old, wrapped_key=b"x"), "2027")
    with pytest.raises(PermanentError, match="data_key_missing"):
        stores.keys.get(old.data_key_id)


def test_of_two_changes_of_the_key_ring_one_goes_through(stores: Stores) -> None:
    ring = stores.keys.key_ring()
    ours = replace(begin_succession(ring, A_MOMENT), versions=ring.versions)
    theirs = replace(ours, reindexed_from="x")
    for _ in range(2):
        stores.keys.save_key_ring(theirs)
    with pytest.raises(TransientError, match="key_ring_changed"):
        stores.keys.save_key_ring(ours)
    assert stores.keys.key_ring() == theirs
    assert all(each.record.data_key_id != "fingerprint-ring" for each in stores.keys.all())
    stores.keys.save_key_ring(KeyRing(generation=theirs.generation + 1))
    assert stores.keys.key_ring() == KeyRing(generation=theirs.generation + 1)


def test_the_first_entry_of_the_trail_stands(stores: Stores) -> None:
    (token,) = mint_tokens(1, os.urandom)
    assert stores.trail.entry(token) is None
    first = Forgotten(token, "erasure", "arn:aws:iam::1:role/keeper", "2026")
    stores.trail.note(first)
    stores.trail.note(replace(first, purpose="another"))
    assert stores.trail.entry(token) == first
