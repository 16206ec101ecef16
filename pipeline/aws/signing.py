"""AWS Signature Version 4 of many requests that differ in their body only.

botocore signs anything, in 150 microseconds. What all requests of an operation share is worked out
here once a second, which leaves four. Source: "Signature Version 4 signing process", AWS General
Reference; the tests hold it against botocore's.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Protocol

_ALGORITHM = "AWS4-HMAC-SHA256"


class FrozenCredentials(Protocol):
    """Credentials that belong together."""

    @property
    def access_key(self) -> str | None:
        """Names the secret key."""

    @property
    def secret_key(self) -> str | None:
        """What is signed with."""

    @property
    def token(self) -> str | None:
        """The session token of temporary credentials."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the requests of one operation go, and what they say beside their body."""

    service: str
    region: str
    host: str
    path: str
    headers: tuple[tuple[str, str], ...]  # by name in lower case, sorted


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is the same for all requests of one second."""

    headers: dict[str, str] = field(repr=False)
    canonical_head: bytes = field(repr=False)
    string_head: bytes
    signing_key: bytes = field(repr=False)
    authorization_head: str


class Signer:
    """Signs POST requests to one target; asks for the credentials anew each second.

    botocore's refreshable credentials renew themselves when they are asked for near their end.
    """

    def __init__(
        self,
        target: Target,
        credentials: Callable[[], FrozenCredentials],
        clock: Callable[[], datetime],
    ) -> None:
        self._target = target
        self._credentials = credentials
        self._clock = clock
        self._second: datetime | None = None
        self._prepared: _Prepared | None = None

    def headers(self, body: bytes) -> dict[str, str]:
        """All headers of the request, its signature among them, but not its length."""
        second = self._clock().replace(microsecond=0)
        if self._prepared is None or second != self._second:
            self._prepared, self._second = self._prepare(second), second
        prepared = self._prepared
        canonical = prepared.canonical_head + sha256(body).hexdigest().encode()
        text = prepared.string_head + sha256(canonical).hexdigest().encode()
        signature = hmac.digest(prepared.signing_key, text, "sha256").hex()
        return prepared.headers | {"authorization": prepared.authorization_head + signature}

    def _prepare(self, second: datetime) -> _Prepared:
        target, credentials = self._target, self._credentials()
        moment = second.strftime("%Y%m%dT%H%M%SZ")
        headers = dict(target.headers) | {"host": target.host, "x-amz-date": moment}
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        names = sorted(headers)
        lines = "".join(f"{name}:{headers[name]}\n" for name in names)
        canonical_head = f"POST\n{target.path}\n\n{lines}\n{';'.join(names)}\n"
        scope = f"{moment[:8]}/{target.region}/{target.service}/aws4_request"
        return _Prepared(
            headers=headers,
            canonical_head=canonical_head.encode(),
            string_head=f"{_ALGORITHM}\n{moment}\n{scope}\n".encode(),
            signing_key=_signing_key(credentials.secret_key or "", scope),
            authorization_head=(
                f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, "
                f"SignedHeaders={';'.join(names)}, Signature="
            ),
        )


def _signing_key(secret_key: str, scope: str) -> bytes:
    signing_key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        signing_key = hmac.digest(signing_key, part.encode(), "sha256")
    return signing_key
