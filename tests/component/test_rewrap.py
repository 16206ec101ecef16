"""Data keys wrapped anew by KMS (moto has its cryptography): all, once, resumably, harmlessly."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pipeline.aws.key_care import DynamoDBKeyStore, KMSRenewal
from pipeline.aws.kms_keys import KMSKeys
from pipeline.core.receipts import iso_time
from pipeline.errors import PermanentError
from pipeline.keys import fingerprint_data_key_id
from pipeline.model import DataKey, WrappedDataKey
from pipeline.testing import MemoryDataKeys
from pipeline.testing.care import MemoryKeyStore
from pipeline.vault_care.rewrap import CLOCK_TOLERANCE, RewrapReport, Target, plan, rewrap

MADE_AT = "2026-11-20T12:00:00.000Z"
DATA_KEYS = 1_000


class Counting(KMSRenewal):
    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.rewrapped: list[str] = []

    def rewrap(self, record: WrappedDataKey, key_arn: str) -> WrappedDataKey:
        self.rewrapped.append(record.data_key_id)
        return super().rewrap(record, key_arn)


@dataclass
class Bunch:
    """Data keys of a vault, wrapped by KMS."""

    kms: Any
    store: MemoryKeyStore
    service: KMSKeys
    renewal: Counting
    arns: dict[str, str]

    def add(self, count: int, created_at: str = MADE_AT) -> dict[str, DataKey]:
        made: dict[str, DataKey] = {}
        for _ in range(count):
            name = f"dk_{os.urandom(8).hex()}"
            context = {"purpose": "vault", "data_key_id": name, "scope": "shop", "job_id": "job"}
            made[name], record = self.service.generate_data_key(name, context, created_at)
            self.store.insert_if_absent(record)
        return made

    @property
    def targets(self) -> dict[Any, Target]:
        return {
            purpose: Target(arn, self.renewal.rotated_at(arn)) for purpose, arn in self.arns.items()
        }

    def rewrap(self) -> RewrapReport:
        return rewrap(self.store, self.renewal, self.targets, lambda: datetime.now(UTC))

    def assert_all_open(self, made: dict[str, DataKey]) -> None:
        for name, data_key in made.items():
            assert self.service.unwrap(self.store.get(name)) == data_key


@pytest.fixture
def bunch() -> Iterator[Bunch]:
    with mock_aws():
        kms = boto3.client("kms")
        arns = {name: kms.create_key()["KeyMetadata"]["Arn"] for name in ("vault", "fingerprint")}
        store, renewal = MemoryKeyStore(MemoryDataKeys()), Counting(kms)
        name = fingerprint_data_key_id(1)
        context = {"purpose": "fingerprint", "data_key_id": name}
        record = renewal.generate_wrapped(name, context, arns["fingerprint"], MADE_AT)
        store.insert_if_absent(record)
        yield Bunch(kms, store, KMSKeys(kms, arns["vault"]), renewal, arns)


def test_without_a_rotation_there_is_nothing_to_do(bunch: Bunch) -> None:
    bunch.add(5)
    assert bunch.rewrap() == RewrapReport(6, 6, 0, 0, 0, 0)
    assert bunch.renewal.rewrapped == []


def test_after_a_rotation_each_data_key_is_wrapped_anew_once_and_verified(bunch: Bunch) -> None:
    made = bunch.add(20)
    before = {each.record.data_key_id: each.record.wrapped_key for each in bunch.store.all()}
    bunch.renewal.rotate(bunch.arns["vault"])
    assert plan(bunch.store, bunch.targets) == RewrapReport(21, 1, 20, 0, 0, 0)
    assert bunch.renewal.rewrapped == []
    assert bunch.rewrap() == RewrapReport(21, 1, 0, 20, 0, 20)
    after = {each.record.data_key_id: each.record.wrapped_key for each in bunch.store.all()}
    assert all((before[name] != after[name]) == (name in made) for name in before)
    bunch.assert_all_open(made)
    assert bunch.rewrap() == RewrapReport(21, 21, 0, 0, 0, 0)
    bunch.renewal.rotate(bunch.arns["fingerprint"])
    assert bunch.rewrap().rewrapped == 1


def test_another_key_takes_over_all_data_keys_of_the_vault(bunch: Bunch) -> None:
    made, old = bunch.add(10), bunch.arns["vault"]
    bunch.arns["vault"] = bunch.kms.create_key()["KeyMetadata"]["Arn"]
    assert bunch.rewrap().rewrapped == 10
    assert {bunch.store.get(name).key_arn for name in made} == {bunch.arns["vault"]}
    bunch.assert_all_open(made)
    bunch.kms.schedule_key_deletion(KeyId=old.rsplit("/", 1)[1], PendingWindowInDays=7)
    bunch.assert_all_open(made)


def test_a_run_that_was_cut_off_is_taken_up_where_it_was(bunch: Bunch) -> None:
    made = bunch.add(60)
    bunch.renewal.rotate(bunch.arns["vault"])
    done: list[int] = []

    def stop() -> None:
        done.append(1)
        if len(done) == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rewrap(bunch.store, bunch.renewal, bunch.targets, lambda: datetime.now(UTC), stop)
    already = plan(bunch.store, bunch.targets).current - 1
    assert 24 <= already < 60
    assert bunch.rewrap().rewrapped == 60 - already
    bunch.assert_all_open(made)


def test_two_runs_at_a_time_do_each_other_no_harm(bunch: Bunch) -> None:
    made = bunch.add(30)
    bunch.renewal.rotate(bunch.arns["vault"])
    inner: list[RewrapReport] = []
    replace_one = bunch.store.replace

    def overtaken(old: WrappedDataKey, new: WrappedDataKey, rewrapped_at: str) -> bool:
        bunch.store.replace = replace_one  # type: ignore[method-assign]
        inner.append(bunch.rewrap())
        return replace_one(old, new, rewrapped_at)

    bunch.store.replace = overtaken  # type: ignore[method-assign]
    outer = bunch.rewrap()
    assert inner[0].rewrapped + outer.rewrapped == 30
    assert outer.done_by_another >= 1
    bunch.assert_all_open(made)


def test_what_kms_finds_changed_stays_as_it_is_and_stops_the_run(bunch: Bunch) -> None:
    (name,) = bunch.add(1)
    record = bunch.store.get(name)
    context = {**record.encryption_context, "scope": "another"}
    broken = replace(record, encryption_context=context)
    bunch.store._data_keys.records[name] = broken
    bunch.renewal.rotate(bunch.arns["vault"])
    with pytest.raises(PermanentError, match=f"data_key_broken: {name}"):
        bunch.rewrap()
    assert bunch.store.get(name) == broken


def test_a_data_key_made_while_the_clocks_may_differ_counts_as_old(bunch: Bunch) -> None:
    bunch.renewal.rotate(bunch.arns["vault"])
    rotated_at = bunch.targets["vault"].rotated_at
    assert rotated_at is not None
    bunch.add(1, iso_time(rotated_at + CLOCK_TOLERANCE - timedelta(milliseconds=1)))
    bunch.add(1, iso_time(rotated_at + CLOCK_TOLERANCE + timedelta(milliseconds=2)))
    assert plan(bunch.store, bunch.targets).to_do == 1


def test_a_table_of_moto_is_worked_off_like_one_in_memory(bunch: Bunch) -> None:
    dynamodb = boto3.client("dynamodb")
    dynamodb.create_table(
        TableName="keys",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "data_key_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "data_key_id", "KeyType": "HASH"}],
    )
    made = bunch.add(30)
    for kept in bunch.store.all():
        record = kept.record
        dynamodb.put_item(
            TableName="keys",
            Item={
                "data_key_id": {"S": record.data_key_id},
                "wrapped_key": {"B": record.wrapped_key},
                "key_arn": {"S": record.key_arn},
                "purpose": {"S": record.purpose},
                "encryption_context": {
                    "M": {name: {"S": text} for name, text in record.encryption_context.items()}
                },
                "created_at": {"S": record.created_at},
            },
        )
    bunch.store = DynamoDBKeyStore(dynamodb, "keys")  # type: ignore[assignment]
    bunch.renewal.rotate(bunch.arns["vault"])
    assert bunch.rewrap() == RewrapReport(31, 1, 0, 30, 0, 30)
    bunch.assert_all_open(made)
    assert bunch.rewrap().rewrapped == 0


def test_a_thousand_data_keys_take_two_calls_each(
    bunch: Bunch, record_property: pytest.RecordProperty
) -> None:
    made = bunch.add(DATA_KEYS)
    bunch.renewal.rotate(bunch.arns["vault"])
    started = time.perf_counter()
    report = bunch.rewrap()
    record_property("seconds", round(time.perf_counter() - started, 1))
    assert report == RewrapReport(DATA_KEYS + 1, 1, 0, DATA_KEYS, 0, DATA_KEYS)
    assert len(bunch.renewal.rewrapped) == 2 * DATA_KEYS
    some = dict(list(made.items())[:50])
    bunch.assert_all_open(some)
