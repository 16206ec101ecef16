"""The detokenize function when AWS fails it: no card number goes out, and the next call is served."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from pipeline.api_wiring import opening_of
from pipeline.aws.dynamodb_access import DynamoDBGrants
from pipeline.aws.kms_keys import KMSKeys
from pipeline.aws.session import CountedSession
from pipeline.core.envelope import seal
from pipeline.handlers.api_edge import answer, resolver
from pipeline.handlers.api_routes import add_opening
from pipeline.settings import ApiSettings
from pipeline.testing import api_event
from tests.api import GRANTS

PAN, TOKEN = "4485733190264178", "tok_" + "b" * 26
CONTEXT = {"purpose": "vault", "data_key_id": "dk_1", "job_id": "job_1", "scope": "default"}
TABLES = {"vault": "token", "data-keys": "data_key_id", "grants": "name", "limits": "counter"}


@dataclass
class Function:
    """The real adapters on AWS in process, which fails where it is told to."""

    failing: set[str] = field(default_factory=set)
    session: CountedSession = field(default_factory=CountedSession)

    def __post_init__(self) -> None:
        self.session._session.events.register_first("before-send", self._meddle)
        self._deploy()
        opening = opening_of(self.settings, self.session)
        self.app = add_opening(resolver(), lambda: opening)

    def _meddle(self, event_name: str, **_: object) -> None:
        if event_name.removeprefix("before-send.") in self.failing:
            raise EndpointConnectionError(endpoint_url=f"https://{PAN}")

    def _deploy(self) -> None:
        dynamodb, kms = self.session.client("dynamodb"), self.session.client("kms")
        for name, key in TABLES.items():
            dynamodb.create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            )
        self.session.client("logs").create_log_group(logGroupName="audit")
        DynamoDBGrants(dynamodb, "grants").write(GRANTS, "now")
        key_arn = kms.create_key()["KeyMetadata"]["Arn"]
        self.settings = ApiSettings("vault", "data-keys", key_arn, "grants", "limits", "audit")
        data_key, wrapped = KMSKeys(kms, key_arn).generate_data_key("dk_1", CONTEXT, "now")
        (ciphertext,) = seal([PAN.encode()], [TOKEN], "default", data_key, os.urandom)
        dynamodb.put_item(
            TableName="data-keys",
            Item={
                "data_key_id": {"S": "dk_1"},
                "wrapped_key": {"B": wrapped.wrapped_key},
                "key_arn": {"S": key_arn},
                "purpose": {"S": "vault"},
                "encryption_context": {"M": {name: {"S": each} for name, each in CONTEXT.items()}},
                "created_at": {"S": "now"},
            },
        )
        metadata = {"last4": {"S": PAN[-4:]}, "scheme": {"S": "visa"}, "scope": {"S": "default"}}
        dynamodb.put_item(
            TableName="vault",
            Item={
                "token": {"S": TOKEN},
                "ciphertext": {"B": ciphertext},
                "data_key_id": {"S": "dk_1"},
                "created_at": {"S": "now"},
                "metadata": {"M": metadata},
            },
        )

    def detokenize(self) -> dict[str, Any]:
        document = {"tokens": [TOKEN], "purpose": "chargeback", "view": "full"}
        event = api_event("POST", "/detokenize", json.dumps(document))
        return answer(self.app, event, SimpleNamespace())

    def records(self) -> list[str]:
        events = self.session.client("logs").filter_log_events(logGroupName="audit")["events"]
        return [event["message"] for event in events]


@pytest.fixture
def function(pauses: list[float]) -> Iterator[Function]:
    with mock_aws():
        yield Function()


@pytest.mark.parametrize(
    "operation",
    [
        "dynamodb.GetItem",
        "dynamodb.UpdateItem",
        "dynamodb.BatchGetItem",
        "kms.Decrypt",
        "cloudwatch-logs.CreateLogStream",
        "cloudwatch-logs.PutLogEvents",
    ],
)
def test_whatever_fails_no_card_number_goes_out_and_the_next_call_is_served(
    function: Function, operation: str, capfd: pytest.CaptureFixture[str]
) -> None:
    function.failing.add(operation)
    failed = function.detokenize()

    assert failed["statusCode"] == 503
    assert json.loads(failed["body"])["code"] == "try_again"
    assert PAN not in json.dumps(failed)
    assert function.records() == []

    function.failing.clear()
    served = function.detokenize()
    assert json.loads(served["body"])["results"][0]["pan"] == PAN
    assert len(function.records()) == 1
    printed = capfd.readouterr()
    assert PAN not in "".join(function.records()) + printed.out + printed.err


def test_a_warm_call_makes_three_requests(function: Function) -> None:
    function.detokenize()
    before = function.session.snapshot()
    assert function.detokenize()["statusCode"] == 200
    after = function.session.snapshot()
    made = {
        f"{service}.{name}": count - before.get(service, {}).get(name, 0)
        for service, counts in after.items()
        for name, count in counts.items()
    }
    assert {name: count for name, count in made.items() if count} == {
        "dynamodb.UpdateItem": 1,
        "dynamodb.BatchGetItem": 1,
        "cloudwatch-logs.PutLogEvents": 1,
    }
