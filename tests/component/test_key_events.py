"""CloudTrail is asked about our keys, and about events only where it tells nothing of keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.aws.key_events import key_events

START = datetime(2026, 11, 25, tzinfo=UTC)
KEY, OTHER = "arn:aws:kms:us-east-1:000000000000:key/vault", "arn:aws:kms:x:1:key/other"


class Trail:
    """An event history, two events a page."""

    def __init__(self, events: Sequence[tuple[str, str]]) -> None:
        self._events = events
        self.asked: list[tuple[str, str]] = []

    def get_paginator(self, operation: str) -> Trail:
        assert operation == "lookup_events"
        return self

    def paginate(self, **request: Any) -> Iterator[Any]:
        assert request["StartTime"] == START
        (attribute,) = request["LookupAttributes"]
        key, value = attribute["AttributeKey"], attribute["AttributeValue"]
        self.asked.append((key, value))
        at = {"ResourceName": 1, "EventName": 0}[key]
        found = [each for each in self._events if each[at] == value]
        for start in range(0, max(len(found), 1), 2):
            yield {"Events": [self._event(*each) for each in found[start : start + 2]]}

    def _event(self, name: str, key: str) -> dict[str, str]:
        return {"CloudTrailEvent": json.dumps({"eventName": name, "requestID": key})}


def test_events_are_looked_up_by_key() -> None:
    trail = Trail(
        [("Decrypt", KEY)] * 3
        + [("GenerateDataKey", KEY), ("DescribeKey", KEY)]
        + [("Decrypt", OTHER)]
    )
    found = [event.name for event in key_events(trail, [KEY], START)]
    assert found == ["Decrypt"] * 3 + ["GenerateDataKey"]
    assert trail.asked == [("ResourceName", KEY)]


def test_where_no_resources_are_noted_events_are_looked_up_by_name() -> None:
    trail = Trail([("Decrypt", ""), ("CreateGrant", ""), ("PutKeyPolicy", "")])
    found = [event.name for event in key_events(trail, [KEY], START)]
    assert sorted(found) == ["CreateGrant", "Decrypt"]
