"""Vault and ledger, in memory and in DynamoDB, do what the reference model does, whatever comes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from pipeline.aws.dynamodb_ledger import DynamoDBLedger
from pipeline.aws.dynamodb_vault import DynamoDBDataKeys
from pipeline.errors import PermanentError, TransientError
from pipeline.local import LocalStack
from pipeline.model import Decision, FanOut, JobState, SealedPan, WrappedDataKey
from pipeline.ports import DataKeyRecords, Ledger
from pipeline.testing import (
    A_MOMENT,
    InTurn,
    MemoryDataKeys,
    MemoryLedger,
    MemoryVault,
)
from tests.model.reference import Job, Reference
from tests.vaults import (
    Claim,
    PlainFingerprints,
    PlainVault,
    fingerprints_in_dynamodb,
    fingerprints_in_memory,
    vault_in_dynamodb,
)

FACTS = {"uri": "s3://quarantine/incoming/x/a.csv", "layout": "x"}
NAMES = st.sampled_from(["a", "b", "c"])
CHUNKS = st.sampled_from(["00000", "00001", "00000.verdict"])
ROWS = st.integers(0, 5)
SECRETS = st.binary(min_size=1, max_size=4)


@dataclass(frozen=True)
class Subject:
    """What is compared with the model, and how its vault is read: by nobody in production."""

    vault: PlainVault
    fingerprints: PlainFingerprints
    data_keys: DataKeyRecords
    ledger: Ledger
    ciphertext: Callable[[str], bytes | None]
    job: Callable[[str], dict[str, Any] | None]


def in_memory(_: LocalStack | None = None) -> Subject:
    vault, ledger = MemoryVault(), MemoryLedger()

    def ciphertext(token: str) -> bytes | None:
        return vault.rows[token].ciphertext if token in vault.rows else None

    def job(job_id: str) -> dict[str, Any] | None:
        found = ledger.jobs.get(job_id)
        return vars(found) if found else None

    return Subject(
        PlainVault(vault, InTurn()),
        fingerprints_in_memory(),
        MemoryDataKeys(),
        ledger,
        ciphertext,
        job,
    )


def in_dynamodb(stack: LocalStack | None) -> Subject:
    assert stack is not None
    client, tables = stack.client("dynamodb"), stack.outputs
    ledger = DynamoDBLedger(client, tables["JobsTable"])

    def ciphertext(token: str) -> bytes | None:
        item = client.get_item(TableName=tables["VaultTable"], Key={"token": {"S": token}})
        return bytes(item["Item"]["ciphertext"]["B"]) if "Item" in item else None

    return Subject(
        vault_in_dynamodb(client, tables["VaultTable"]),
        fingerprints_in_dynamodb(client, tables["FingerprintsTable"]),
        DynamoDBDataKeys(client, tables["DataKeysTable"]),
        ledger,
        ciphertext,
        ledger.get,
    )


class Comparison(RuleBasedStateMachine):
    """Random operations, on the model and on the subject; names are new in every run."""

    make_subject: ClassVar[Callable[[], Subject]]

    def __init__(self) -> None:
        super().__init__()
        self.model = Reference()
        self.subject = type(self).make_subject()
        self.run = os.urandom(6).hex()

    def id(self, name: str) -> str:
        return f"{self.run}-{name}"

    def fingerprint(self, name: str) -> bytes:
        return b"m" + sha256(self.id(name).encode()).digest()  # as long as real ones

    # The vault

    @rule(rows=st.dictionaries(NAMES, SECRETS, min_size=1))
    def insert(self, rows: dict[str, bytes]) -> None:
        sealed = [SealedPan(self.id(t), c, "dk", "now", {"last4": "1"}) for t, c in rows.items()]
        self.subject.vault.insert_if_absent(sealed)
        for token, ciphertext in rows.items():
            self.model.insert(token, ciphertext)
        for token in rows:
            assert self.subject.ciphertext(self.id(token)) == self.model.vault[token]

    @rule(wanted=st.dictionaries(NAMES, NAMES, min_size=1))
    def claim(self, wanted: dict[str, str]) -> None:
        claims = [Claim(self.fingerprint(name), token) for name, token in wanted.items()]
        held = self.subject.fingerprints.claim(claims)
        expected = {self.fingerprint(n): self.model.claim(n, token) for n, token in wanted.items()}
        assert dict(held) == expected

    @rule(names=st.lists(NAMES, unique=True))
    def look_up(self, names: list[str]) -> None:
        found = self.subject.fingerprints.look_up([self.fingerprint(name) for name in names])
        known = {self.fingerprint(n): t for n, t in self.model.claims.items() if n in names}
        assert dict(found) == known

    @rule(name=NAMES, wrapped=SECRETS)
    def insert_data_key(self, name: str, wrapped: bytes) -> None:
        record = WrappedDataKey(self.id(name), wrapped, "arn", "vault", {"a": "b"}, "now")
        self.subject.data_keys.insert_if_absent(record)
        self.model.insert_data_key(name, wrapped)

    @rule(name=NAMES)
    def get_data_key(self, name: str) -> None:
        try:
            wrapped = self.subject.data_keys.get(self.id(name)).wrapped_key
        except PermanentError:
            assert name not in self.model.data_keys
        else:
            assert wrapped == self.model.data_keys[name]

    # The ledger

    @rule(name=NAMES)
    def start(self, name: str) -> None:
        state = self.subject.ledger.start(self.id(name), FACTS, A_MOMENT)
        job = self.model.start(name)
        decision = state.decision.attempt_id if state.decision else None
        assert decision == job.decision
        if job.decision is None:
            assert state == JobState(job.attempts, None, False, job.has_chunks)
        else:
            assert state.is_committed == (job.status == "committed")

    @rule(name=NAMES, rows=ROWS)
    def progress(self, name: str, rows: int) -> None:
        self.subject.ledger.progress(self.id(name), rows)
        self.model.progress(name, rows)

    @rule(name=NAMES)
    def note_trouble(self, name: str) -> None:
        self.subject.ledger.note_trouble(self.id(name), "throttled")
        self.model.note_trouble(name)

    @rule(name=NAMES, chunk=CHUNKS, attempt=NAMES)
    def record_chunk(self, name: str, chunk: str, attempt: str) -> None:
        document = {"attempt_id": attempt, "end": None}
        stands = self.subject.ledger.record_chunk(self.id(name), chunk, document)
        assert stands == self.model.record_chunk(name, chunk, document)

    @rule(name=NAMES, chunk=CHUNKS)
    def recorded_chunk(self, name: str, chunk: str) -> None:
        found = self.subject.ledger.recorded_chunk(self.id(name), chunk)
        assert found == self.model.chunks.get((name, chunk))

    @rule(name=NAMES, chunks=st.integers(1, 4))
    def finish_plan(self, name: str, chunks: int) -> None:
        fan_out = self.subject.ledger.finish_plan(self.id(name), chunks, None)
        self.model.finish_plan(name, chunks)
        self.is_the_same(fan_out, name)

    @rule(name=NAMES, ordinal=st.integers(0, 3))
    def finish_chunk(self, name: str, ordinal: int) -> None:
        fan_out = self.subject.ledger.finish_chunk(self.id(name), ordinal)
        self.model.finish_chunk(name, ordinal)
        self.is_the_same(fan_out, name)

    @rule(name=NAMES)
    def fan_out(self, name: str) -> None:
        self.is_the_same(self.subject.ledger.fan_out(self.id(name)), name)

    def is_the_same(self, fan_out: FanOut, name: str) -> None:
        job = self.model.jobs.get(name, Job())
        assert (fan_out.planned, fan_out.done) == (job.planned, job.done)
        assert (fan_out.is_failed, fan_out.has_failed) == (job.status == "failed", job.has_failed)
        decision = fan_out.decision.attempt_id if fan_out.decision else None
        assert decision == job.decision

    @rule(claimed=NAMES, name=NAMES)
    def claim_for_job(self, claimed: str, name: str) -> None:
        owner = self.subject.ledger.claim(f"claim/{self.id(claimed)}", self.id(name))
        assert owner == self.id(self.model.claim_for_job(claimed, name))

    @rule(name=NAMES, decision=NAMES, rows=ROWS, held=st.lists(NAMES, max_size=2, unique=True))
    def decide(self, name: str, decision: str, rows: int, held: list[str]) -> None:
        ours = Decision(decision, {"rows_read": rows}, (("from", "to"),))
        expected = self.model.decide(name, decision, rows, held)
        claims = [f"claim/{self.id(each)}" for each in held]
        try:
            stands = self.subject.ledger.decide(self.id(name), ours, claims)
        except TransientError:
            assert expected is None
        else:
            assert stands.attempt_id == expected

    @rule(name=NAMES)
    def commit(self, name: str) -> None:
        self.subject.ledger.commit(self.id(name))
        self.model.commit(name)

    @rule(name=NAMES)
    def fail(self, name: str) -> None:
        stands = self.subject.ledger.fail(self.id(name), "no_rows", "")
        expected = self.model.fail(name, "no_rows")
        assert (stands.attempt_id if stands else None) == expected

    @invariant()
    def jobs_are_the_same(self) -> None:
        for name, job in self.model.jobs.items():
            shown = self.subject.job(self.id(name))
            assert shown is not None
            assert shown["status"] == job.status
            assert shown["attempts"] == job.attempts
            assert shown["rows_read"] == job.rows_read
            assert (shown.get("reason") or None) == job.reason


@pytest.mark.parametrize(
    ("make", "examples", "steps"), [(in_memory, 200, 40), (in_dynamodb, 25, 25)]
)
def test_it_does_what_the_model_does(
    make: Callable[[LocalStack | None], Subject],
    examples: int,
    steps: int,
    request: pytest.FixtureRequest,
) -> None:
    stack = request.getfixturevalue("local_stack") if make is in_dynamodb else None

    class Machine(Comparison):
        make_subject = staticmethod(lambda: make(stack))

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Machine, settings=settings(max_examples=examples, stateful_step_count=steps)
    )
