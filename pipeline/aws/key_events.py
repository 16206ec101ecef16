"""KMS events out of CloudTrail, and what the vault tells of a token beside its ciphertext."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pipeline.aws.faults import translated
from pipeline.core.trace import KEY_EVENTS, KeyEvent, key_event
from pipeline.errors import PermanentError


def key_events(client: Any, start: datetime) -> Iterator[KeyEvent]:
    """KMS events of data keys since `start`, 90 days back at most (CloudTrail's event history)."""
    for name in KEY_EVENTS:
        attributes = [{"AttributeKey": "EventName", "AttributeValue": name}]
        pages = client.get_paginator("lookup_events").paginate(
            LookupAttributes=attributes, StartTime=start
        )
        with translated("cloudtrail:LookupEvents"):
            for page in pages:
                for event in page["Events"]:
                    yield key_event(json.loads(event["CloudTrailEvent"]))


def token_facts(client: Any, table: str, token: str) -> dict[str, str]:
    """`data_key_id`, `created_at` and the metadata of a token; its ciphertext is not asked for.

    Raises `PermanentError` `unknown_token`.
    """
    with translated("dynamodb:GetItem"):
        response = client.get_item(
            TableName=table,
            Key={"token": {"S": token}},
            ProjectionExpression="#token, data_key_id, created_at, metadata",
            ExpressionAttributeNames={"#token": "token"},
            ConsistentRead=True,
        )
    item = response.get("Item")
    if item is None:
        raise PermanentError("unknown_token", "there is no such token")
    metadata = {name: value["S"] for name, value in item["metadata"]["M"].items()}
    return metadata | {name: item[name]["S"] for name in ("data_key_id", "created_at")}
