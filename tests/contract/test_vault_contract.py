"""What the vault, the fingerprints and the data keys promise, in memory and in DynamoDB alike."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from pipeline.aws.dynamodb_vault import DynamoDBDataKeys
from pipeline.aws.session import CountedSession
from pipeline.core.envelope import mint_tokens
from pipeline.errors import PermanentError
from pipeline.local import LocalStack
from pipeline.model import SealedPan, WrappedDataKey
from pipeline.ports import DataKeyRecords
from pipeline.testing import InTurn, MemoryDataKeys, MemoryVault
from tests.vaults import (
    Claim,
    PlainFingerprints,
    PlainVault,
    fingerprints_in_dynamodb,
    fingerprints_in_memory,
    vault_in_dynamodb,
)


@dataclass
class Tables:
    vault: PlainVault
    fingerprints: PlainFingerprints
    data_keys: DataKeyRecords
    stored: Callable[[str], bytes | None]
    calls: Callable[[], int]


def _memory() -> Tables:
    vault = MemoryVault()

    def stored(token: str) -> bytes | None:
        return vault.rows[token].ciphertext if token in vault.rows else None

    return Tables(
        PlainVault(vault, InTurn()),
        fingerprints_in_memory(),
        MemoryDataKeys(),
        stored,
        lambda: 0,
    )


def _dynamodb(stack: LocalStack) -> Tables:
    session = CountedSession(stack.session())
    client, outputs = session.client("dynamodb"), stack.outputs

    def stored(token: str) -> bytes | None:
        key = {"token": {"S": token}}
        item = client.get_item(TableName=outputs["VaultTable"], Key=key).get("Item")
        return bytes(item["ciphertext"]["B"]) if item else None

    return Tables(
        vault_in_dynamodb(client, outputs["VaultTable"]),
        fingerprints_in_dynamodb(client, outputs["FingerprintsTable"]),
        DynamoDBDataKeys(client, outputs["DataKeysTable"]),
        stored,
        lambda: session.snapshot()["dynamodb"].get("BatchExecuteStatement", 0),
    )


@pytest.fixture(params=["memory", "dynamodb"])
def tables(request: pytest.FixtureRequest) -> Iterator[Tables]:
    if request.param == "memory":
        yield _memory()
    else:
        yield _dynamodb(request.getfixturevalue("local_stack"))


def _sealed(token: str, ciphertext: bytes = b"\x01sealed") -> SealedPan:
    metadata = {"last4": "1111", "scheme": "visa", "scope": "default", "job_id": "job_x"}
    return SealedPan(token, ciphertext, "dk_x", "2026-11-23T12:00:00.000Z", metadata)


def _claims(count: int) -> list[Claim]:
    tokens = mint_tokens(count, os.urandom)
    return [Claim(b"\x01" + os.urandom(32), token) for token in tokens]


@pytest.mark.parametrize("count", [0, 1, 25, 26, 100, 250])
def test_inserted_rows_are_there(tables: Tables, count: int) -> None:
    tokens = mint_tokens(count, os.urandom)
    tables.vault.insert_if_absent([_sealed(token, token.encode()) for token in tokens])
    assert [tables.stored(token) for token in tokens] == [token.encode() for token in tokens]


def test_a_row_that_is_there_stays_as_it_is(tables: Tables) -> None:
    (token,) = mint_tokens(1, os.urandom)
    tables.vault.insert_if_absent([_sealed(token, b"first")])
    tables.vault.insert_if_absent([_sealed(token, b"second")])
    assert tables.stored(token) == b"first"


@pytest.mark.parametrize("count", [0, 1, 100, 101])
def test_an_unknown_fingerprint_has_no_token(tables: Tables, count: int) -> None:
    assert tables.fingerprints.look_up([os.urandom(33) for _ in range(count)]) == {}


def test_known_fingerprints_are_told_from_unknown_ones(tables: Tables) -> None:
    known, unknown = _claims(70), _claims(70)
    tables.fingerprints.claim(known)
    mixed = [each.fingerprint for pair in zip(unknown, known, strict=True) for each in pair]
    assert tables.fingerprints.look_up(mixed) == {each.fingerprint: each.token for each in known}


@pytest.mark.parametrize("count", [0, 1, 25, 26, 100, 101, 250])
def test_a_claim_holds_and_is_found_again(tables: Tables, count: int) -> None:
    claims = _claims(count)
    expected = {claim.fingerprint: claim.token for claim in claims}
    assert tables.fingerprints.claim(claims) == expected
    assert tables.fingerprints.look_up(list(expected)) == expected


def test_who_claims_second_is_told_the_first_token(tables: Tables) -> None:
    first, others = _claims(30), _claims(30)
    tables.fingerprints.claim(first[:20])
    second = [
        Claim(mine.fingerprint, other.token) for mine, other in zip(first, others, strict=True)
    ]
    held = tables.fingerprints.claim(second)
    assert [held[claim.fingerprint] for claim in first[:20]] == [
        claim.token for claim in first[:20]
    ]
    assert [held[claim.fingerprint] for claim in first[20:]] == [
        claim.token for claim in second[20:]
    ]


def test_of_claimants_at_the_same_time_one_wins_and_all_are_told_so(
    local_stack: LocalStack,
) -> None:
    fingerprints = [os.urandom(33) for _ in range(30)]
    held: list[dict[bytes, str]] = []

    def claim(contender: PlainFingerprints) -> None:
        tokens = mint_tokens(len(fingerprints), os.urandom)
        claims = [Claim(*pair) for pair in zip(fingerprints, tokens, strict=True)]
        held.append(dict(contender.claim(claims)))

    contenders = [_dynamodb(local_stack).fingerprints for _ in range(4)]
    threads = [threading.Thread(target=claim, args=[each]) for each in contenders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 4
    assert all(each == held[0] for each in held)


def test_a_data_key_is_read_as_it_was_stored_and_never_replaced(tables: Tables) -> None:
    context = {"purpose": "vault", "job_id": "job_x", "data_key_id": "dk_1"}
    name = f"dk_{os.urandom(6).hex()}"
    record = WrappedDataKey(name, os.urandom(60), "arn:aws:kms:x", "vault", context, "2026")
    tables.data_keys.insert_if_absent(record)
    other = WrappedDataKey(name, b"other", "arn:aws:kms:y", "vault", {}, "2027")
    tables.data_keys.insert_if_absent(other)
    assert tables.data_keys.get(name) == record


def test_a_missing_data_key_is_an_error(tables: Tables) -> None:
    with pytest.raises(PermanentError, match="data_key_missing"):
        tables.data_keys.get("dk_nowhere")


def test_dynamodb_takes_twenty_five_statements_a_call(local_stack: LocalStack) -> None:
    tables = _dynamodb(local_stack)
    tables.vault.insert_if_absent([_sealed(token) for token in mint_tokens(51, os.urandom)])
    assert tables.calls() == 3
    tables.fingerprints.claim(_claims(26))
    assert tables.calls() == 5
