"""A fault at every AWS request of a keeper's work: repeated, it comes to the same, and no harm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from pipeline.aws.dynamodb_vault import DynamoDBDataKeys
from pipeline.aws.forgotten_trail import DynamoDBForgottenTrail
from pipeline.aws.key_care import DynamoDBKeyStore, KMSRenewal
from pipeline.aws.kms_keys import KMSKeys
from pipeline.aws.vault_care import DynamoDBFingerprintStore, DynamoDBVaultStore
from pipeline.detokenize import detokenize
from pipeline.errors import PantokError
from pipeline.model import SealedPan
from pipeline.vault_care import succession
from pipeline.vault_care.forget import Forgetting
from pipeline.vault_care.rewrap import Target, rewrap
from tests.faults.cloud import Cloud, KilledError, Wire, WiredSession, cloud
from tests.faults.invariants import View
from tests.faults.kinds import Fault
from tests.faults.schedules import DAY, LAYOUTS, QUARANTINE

HARDEST = ["reply lost once", "killed after", "denied"]


@dataclass
class Keeper:
    """Keeps the keys and the vault of a cloud, over a wire where faults can be put."""

    cloud: Cloud
    wire: Wire

    def client(self, service: str) -> Any:
        return WiredSession(self.cloud.session, self.wire).client(service)

    @property
    def keys(self) -> DynamoDBKeyStore:
        return DynamoDBKeyStore(self.client("dynamodb"), "data-keys")

    def forget(self, token: str) -> None:
        dynamodb = self.client("dynamodb")
        Forgetting(
            DynamoDBVaultStore(dynamodb, "vault"),
            DynamoDBFingerprintStore(dynamodb, "fingerprints"),
            self.keys,
            KMSKeys(self.client("kms"), self.cloud.settings.vault_key_arn),
            DynamoDBForgottenTrail(dynamodb, "jobs"),
            lambda: datetime.now(UTC),
            "arn:aws:iam::1:role/keeper",
            "erasure",
        ).forget([token])

    def rewrap(self) -> None:
        arn, renewal = self.cloud.settings.vault_key_arn, KMSRenewal(self.client("kms"))
        target = Target(arn, renewal.rotated_at(arn))
        targets: Any = {"vault": target, "fingerprint": target}
        rewrap(self.keys, renewal, targets, lambda: datetime.now(UTC))

    def begin(self) -> None:
        renewal, arn = KMSRenewal(self.client("kms")), self.cloud.settings.vault_key_arn
        succession.begin(self.keys, renewal, arn, datetime.now(UTC))


def _tokenize(cloud: Cloud) -> dict[str, str]:
    """A file worked off; the vault's rows by token, opened."""
    for name, document in LAYOUTS.items():
        key = f"layouts/{name}.toml"
        cloud.client("s3").put_object(Bucket=QUARANTINE, Key=key, Body=document.encode())
    cloud.announce(cloud.upload(f"incoming/{DAY.layout}/{DAY.name}", DAY.body))
    worker = cloud.worker(lambda: lambda: 900.0)
    while delivery := cloud.receive():
        cloud.deliver(delivery, worker)
    return _opened(cloud)


def _opened(cloud: Cloud) -> dict[str, str]:
    rows = View(cloud).vault

    class Reader:
        def get(self, tokens: Sequence[str]) -> Mapping[str, SealedPan]:
            return rows

    records = DynamoDBDataKeys(cloud.client("dynamodb"), "data-keys")
    keys = KMSKeys(cloud.client("kms"), cloud.settings.vault_key_arn)
    pans = detokenize(list(rows), Reader(), records, keys)
    return dict(zip(rows, (pan.decode() for pan in pans.digits), strict=True))


def _run(work: Callable[[], None], wire: Wire, fault: Fault | None = None) -> int:
    """How many requests the work made until it ended, in one way or another."""
    before = len(wire.requests)
    wire.meddle = fault.meddle if fault else None
    if fault is not None:
        fault.at += before
    try:
        work()
    except (PantokError, KilledError):
        assert fault is not None
    wire.meddle = None
    return len(wire.requests) - before


@contextmanager
def _kept() -> Any:
    with cloud() as running:
        opened = _tokenize(running)
        yield Keeper(running, Wire()), opened


def _requests_of(work: Callable[[Keeper, str], None]) -> int:
    with _kept() as (keeper, opened):
        return _run(partial(work, keeper, next(iter(opened))), keeper.wire)


def _rotated(cloud: Cloud) -> None:
    cloud.client("kms").rotate_key_on_demand(KeyId=cloud.settings.vault_key_arn)


def _rewrap(keeper: Keeper, _token: str) -> None:
    _rotated(keeper.cloud)
    keeper.rewrap()


@pytest.mark.parametrize("kind", HARDEST)
def test_a_card_is_forgotten_whatever_fails_first(
    kind: str, record_property: pytest.RecordProperty
) -> None:
    requests = _requests_of(Keeper.forget)
    record_property("cases", requests)
    for at in range(1, requests + 1):
        with _kept() as (keeper, opened):
            token = next(iter(opened))
            _run(partial(keeper.forget, token), keeper.wire, Fault(kind, at))
            view = View(keeper.cloud)
            assert set(view.claims.values()) <= view.vault.keys(), "a card leads to no row"
            keeper.forget(token)
            assert _opened(keeper.cloud) == {k: v for k, v in opened.items() if k != token}
            assert token not in View(keeper.cloud).claims.values()


@pytest.mark.parametrize("kind", HARDEST)
def test_all_data_keys_are_rewrapped_whatever_fails_first(
    kind: str, record_property: pytest.RecordProperty
) -> None:
    requests = _requests_of(_rewrap)
    record_property("cases", requests)
    for at in range(1, requests + 1):
        with _kept() as (keeper, opened):
            _rotated(keeper.cloud)
            _run(keeper.rewrap, keeper.wire, Fault(kind, at))
            assert _opened(keeper.cloud) == opened
            keeper.rewrap()
            assert _opened(keeper.cloud) == opened
            assert all(kept.rewrapped_at for kept in keeper.keys.all())


@pytest.mark.parametrize("kind", HARDEST)
def test_a_fingerprint_key_is_added_whatever_fails_first(
    kind: str, record_property: pytest.RecordProperty
) -> None:
    requests = _requests_of(lambda keeper, _token: keeper.begin())
    record_property("cases", requests)
    for at in range(1, requests + 1):
        with _kept() as (keeper, _):
            _run(keeper.begin, keeper.wire, Fault(kind, at))
            if keeper.keys.key_ring().versions == (1,):
                keeper.begin()
            assert keeper.keys.key_ring().versions == (1, 2)
            assert keeper.keys.get("fingerprint-2")
