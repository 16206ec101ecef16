"""Clients of AWS, and how often they called it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from pipeline.aws.signing import FrozenCredentials
from pipeline.errors import TransientError

CLIENT_CONFIG = Config(
    connect_timeout=3,
    read_timeout=20,
    retries={"mode": "standard", "max_attempts": 6},
    parameter_validation=False,  # half of a call's CPU time; the adapters' tests validate instead
)


class CountedSession:
    """A boto3 session whose clients count every request that they send, retries included."""

    def __init__(self, session: boto3.session.Session | None = None) -> None:
        self._session = session or boto3.session.Session()
        self._calls: dict[str, Counter[str]] = defaultdict(Counter)
        self._session.events.register("before-send", self._count)

    def client(self, service: str) -> Any:
        """A client of that service."""
        return self._session.client(service, config=CLIENT_CONFIG)  # type: ignore[call-overload]

    def credentials(self) -> FrozenCredentials:
        """What is signed with at this moment; raises `TransientError` where there is nothing."""
        credentials = self._session.get_credentials()
        if credentials is None:
            raise TransientError("no_credentials", "AWS credentials are not configured")
        return credentials.get_frozen_credentials()

    def snapshot(self) -> Mapping[str, Mapping[str, int]]:
        """Requests so far, by service and operation."""
        return {service: dict(counts) for service, counts in self._calls.items()}

    def _count(self, event_name: str, **_kwargs: object) -> None:
        service, operation = event_name.split(".", 2)[1:]
        self._calls[service][operation] += 1


def utc_now() -> datetime:
    """Now, with the time zone UTC."""
    return datetime.now(UTC)
