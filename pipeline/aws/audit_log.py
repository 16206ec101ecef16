"""The audit log in CloudWatch Logs, and the ids by which CloudTrail tells of KMS requests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from pipeline.aws.faults import error_code, translated
from pipeline.errors import TransientError

_ALREADY_THERE = "ResourceAlreadyExistsException"


class CloudWatchAuditLog:
    """Writes records into a log stream of this process's own, and waits until they are stored."""

    def __init__(self, client: Any, log_group: str, stream_id: str) -> None:
        self._client = client
        self._log_group = log_group
        self._stream_id = stream_id
        self._stream = ""

    def write(self, line: str, at: datetime) -> None:
        """Stores one record; raises `TransientError` if CloudWatch does not confirm it."""
        stream, self._stream = self._opened_stream(at), ""  # one that fails is opened anew
        event = {"timestamp": int(at.timestamp() * 1000), "message": line}
        with translated("logs:PutLogEvents"):
            response = self._client.put_log_events(
                logGroupName=self._log_group, logStreamName=stream, logEvents=[event]
            )
        if response.get("rejectedLogEventsInfo"):
            raise TransientError("audit_rejected", "logs:PutLogEvents")
        self._stream = stream

    def _opened_stream(self, at: datetime) -> str:
        """A stream for each day."""
        stream = f"{at.astimezone(UTC):%Y/%m/%d}/{self._stream_id}"
        if stream == self._stream:
            return stream
        with translated("logs:CreateLogStream"):
            try:
                self._client.create_log_stream(logGroupName=self._log_group, logStreamName=stream)
            except ClientError as error:
                if error_code(error) != _ALREADY_THERE:
                    raise
        return stream


def audit_lines(client: Any, log_group: str, term: str, start: datetime) -> Iterator[str]:
    """The records since `start` that hold the term, oldest first within their stream."""
    with translated("logs:FilterLogEvents"):
        pages = client.get_paginator("filter_log_events").paginate(
            logGroupName=log_group,
            filterPattern=f'"{term}"',
            startTime=int(start.timestamp() * 1000),
        )
        for page in pages:
            for event in page["events"]:
                yield event["message"]


class LastRequestId:
    """The id of a client's latest successful request of one operation."""

    def __init__(self, client: Any, operation: str) -> None:
        self._latest = ""
        service = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register(f"after-call.{service}.{operation}", self._note)

    def __call__(self) -> str:
        """The id, as CloudTrail has it in `requestID`; "" if there was none."""
        return self._latest

    def _note(self, parsed: Any, **_: object) -> None:
        self._latest = str(parsed.get("ResponseMetadata", {}).get("RequestId", ""))
