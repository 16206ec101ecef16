"""What is stored with a fingerprint."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import orjson

from pipeline.aws.dynamodb_calls import DynamoDBCalls
from pipeline.aws.dynamodb_vault import DynamoDBFingerprints

TOKEN = "tok_abcdefghijklmnopqrstuvwxyz"


class _RecordedCalls:
    def __init__(self) -> None:
        self.requests: list[Any] = []

    async def call(self, _operation: str, body: bytes) -> Any:
        self.requests.append(orjson.loads(body))
        return {"Responses": [{} for _ in self.requests[-1]["Statements"]]}


def test_nothing_but_its_token_stands_beside_a_fingerprint() -> None:
    """PCI DSS v4.0.1, 3.5.1: no truncated PAN beside a hash of the same PAN."""
    calls = _RecordedCalls()
    fingerprints = DynamoDBFingerprints(cast(DynamoDBCalls, calls), "fingerprints")

    asyncio.run(cast(Any, fingerprints.claim([b"\1" + bytes(32)], [TOKEN])))

    ((statement,),) = (request["Statements"] for request in calls.requests)
    inserted = "INSERT INTO \"fingerprints\" VALUE {'fingerprint': ?, 'token': ?}"
    assert statement["Statement"] == inserted
    assert [list(each) for each in statement["Parameters"]] == [["B"], ["S"]]
