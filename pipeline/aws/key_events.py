"""KMS events out of CloudTrail, and what the vault tells of a token beside its ciphertext."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from pipeline.aws.faults import translated
from pipeline.core.trace import KEY_EVENTS, KeyEvent, key_event
from pipeline.errors import PermanentError


def key_events(client: Any, key_arns: Collection[str], start: datetime) -> Iterator[KeyEvent]:
    """Events of data keys under those KMS keys since `start`, 90 days back at most (CloudTrail's
    event history).

    Asked for by key: an account's other keys may have millions. An engine that notes no resources
    with its events is asked by the events' names.
    """
    by_key = [_looked_up(client, "ResourceName", arn, start) for arn in key_arns]
    found = [event for events in by_key for event in events]
    if not found:
        by_name = [_looked_up(client, "EventName", name, start) for name in KEY_EVENTS]
        found = [event for events in by_name for event in events]
    yield from (event for event in found if event.name in KEY_EVENTS)


def _looked_up(client: Any, key: str, value: str, start: datetime) -> list[KeyEvent]:
    attributes = [{"AttributeKey": key, "AttributeValue": value}]
    pages = client.get_paginator("lookup_events").paginate(
        LookupAttributes=attributes, StartTime=start
    )
    with translated("cloudtrail:LookupEvents"):
        return [
            key_event(json.loads(event["CloudTrailEvent"]))
            for page in pages
            for event in page["Events"]
        ]


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
