"""The running local stack, as its users see it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3

from pipeline.local.session import loopback_session


@dataclass(frozen=True, slots=True)
class LocalStack:
    """A stack that answers: where it is, and what its template put out.

    `started_at` is in UTC; `outputs` are those of the template, with the addresses of APIs
    changed to where the engine serves them.
    """

    endpoint_url: str
    port: int
    pid: int
    started_at: datetime
    outputs: Mapping[str, str]
    log_path: Path
    state_dir: Path

    def session(self) -> boto3.Session:
        """Return a boto3 session whose clients and resources all talk to this stack.

        The caller's AWS profile, credentials, endpoints and proxies play no part.
        """
        return loopback_session(self.endpoint_url)

    def client(self, service: str) -> Any:
        """Return a boto3 client for one service of this stack."""
        return self.session().client(service)  # type: ignore[call-overload]


def function_logs(stack: LocalStack, log_group: str) -> Iterator[str]:
    """Yield what the functions of a log group printed, line by line, oldest first.

    The group is `/aws/lambda/<function name>` unless the template names another. Each call is
    framed by START, END and REPORT lines; its lines appear when it ends. A group that no function
    has written to yet has no lines.
    """
    logs = stack.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=log_group)["logGroups"]:
        return
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=log_group):
        for event in page["events"]:
            yield event["message"]
