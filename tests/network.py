"""A network that does what a test tells it, between a boto3 client and its service.

It works on requests as they leave the SDK, so the SDK's own tries and ours are both at work.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

import urllib3.exceptions
from botocore.awsrequest import AWSResponse
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

SECRET = "4111111111111111"
"""Stands in every text that AWS or the network says here, and must be in nothing that we say."""

Send = Callable[[Any], AWSResponse]
Fault = Callable[[Send, Any], AWSResponse]


class Network:
    """Sends the requests of a client; `script` says which fault each operation's next ones meet."""

    def __init__(self, client: Any) -> None:
        self.sent: dict[str, list[Any]] = defaultdict(list)
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._session = URLLib3Session()
        client.meta.events.register("before-send", self._send)

    def script(self, operation: str, *faults: Fault) -> None:
        self._faults[operation].extend(faults)

    def reset(self) -> None:
        self._faults.clear()

    def _send(self, event_name: str, request: Any, **_: object) -> AWSResponse | None:
        operation = event_name.rsplit(".", 1)[1]
        self.sent[operation].append(request)
        if not self._faults[operation]:
            return None
        return self._faults[operation].popleft()(self._session.send, request)


def fine(send: Send, request: Any) -> AWSResponse:
    return send(request)


def lost(send: Send, request: Any) -> AWSResponse:
    """The service does it, and nobody hears of it."""
    send(request)
    raise ReadTimeoutError(endpoint_url=f"https://{SECRET}")


def unreachable(_send: Send, _request: Any) -> AWSResponse:
    raise EndpointConnectionError(endpoint_url=f"https://{SECRET}")


def refused(code: str, status: int = 400) -> Fault:
    """The service says no: in JSON, or in XML if it is S3."""

    def fault(_send: Send, request: Any) -> AWSResponse:
        content = f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>"
        if "X-Amz-Target" in request.headers:
            content = json.dumps({"__type": f"com.amazonaws#{code}", "message": SECRET})
        return _response(request, status, content.encode())

    return fault


def executed_but_reported_as(*codes: str) -> Fault:
    """Every statement is executed; what is said of those that have a code is an error."""

    def fault(send: Send, request: Any) -> AWSResponse:
        document = json.loads(send(request).content)
        for result, code in zip(document["Responses"], codes, strict=True):
            if code:
                result["Error"] = {"Code": code, "Message": SECRET}
        return _response(request, 200, json.dumps(document).encode())

    return fault


def cut_after(size_bytes: int) -> Fault:
    """The connection breaks while the body is read."""

    def fault(send: Send, request: Any) -> AWSResponse:
        response = send(request)
        response.raw = _Cut(response.raw, size_bytes)
        return response

    return fault


class _Cut:
    def __init__(self, raw: Any, size_bytes: int) -> None:
        self._raw = raw
        self._left = size_bytes

    def read(self, amt: int | None = None, **_: object) -> bytes:
        if not self._left:
            raise urllib3.exceptions.ProtocolError(f"Connection broken: {SECRET}")
        piece: bytes = self._raw.read(self._left if amt is None else min(amt, self._left))
        self._left -= len(piece)
        return piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def _response(request: Any, status: int, content: bytes) -> AWSResponse:
    raw = io.BytesIO(content)
    raw.stream = lambda **_: iter([content])  # type: ignore[attr-defined]
    return AWSResponse(request.url, status, {}, raw)
