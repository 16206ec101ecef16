"""DynamoDB's bulk calls without the SDK's cost: its endpoint, credentials and hooks, our requests.

boto3 takes 1.5 to 4 ms of CPU for a call of 25 items, this 0.1. Everything that is not called
thousands of times for a file stays with boto3.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import BotoCoreError
from botocore.hooks import first_non_none_response
from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.utils import get_environ_proxies

from pipeline.aws.connection import Answer, Connection, ConnectionLostError, Endpoint
from pipeline.aws.faults import is_throttle, longest_pause_seconds, transient
from pipeline.aws.pump import Exchange, Pause
from pipeline.aws.signing import FrozenCredentials, Signer, Target
from pipeline.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_TRIES = 8
MAX_THROTTLED_TRIES = 60  # with pauses of up to 5 s: two minutes, if there is as much time
_CONTENT_TYPE = "application/x-amz-json-1.0"
_API = "DynamoDB_20120810"


class _Headers(dict[str, str]):
    """Headers by name in lower case; hooks find them by any spelling, as those of botocore."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


class _PassingError(Exception):
    """A `trouble` that another try may get around."""

    def __init__(self, trouble: TransientError) -> None:
        super().__init__(trouble)
        self.trouble = trouble


class DynamoDBCalls:
    """Sends JSON bodies of one operation after the other to where a boto3 client sends them.

    Like the client it tells botocore's `before-send` hooks of each request, and takes their answer
    if they have one: requests are counted there, and networks that fail put in.

    A proxy is not gone through, nor past: where the client would use one, no connection is made.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        credentials: Callable[[], FrozenCredentials],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        meta: Any = client.meta
        self._url: str = meta.endpoint_url.rstrip("/") + "/"
        self._region = meta.region_name
        self._events = meta.events
        self._timeout_seconds = float(meta.config.read_timeout)
        self._connect_timeout_seconds = float(meta.config.connect_timeout)
        self._proxies = meta.config.proxies
        self._credentials = credentials
        self._clock = clock
        self._endpoint: Endpoint | None = None
        self._signers: dict[str, Signer] = {}

    def connect(self) -> Connection:
        """A new connection to DynamoDB; raises `ConnectionLostError`, and `TransientError`
        `proxy_not_supported`.
        """
        if self._endpoint is None:
            self._refuse_proxy()
            ca_bundle = os.environ.get("AWS_CA_BUNDLE") or get_cert_path(True)
            self._endpoint = Endpoint.of_url(self._url, ca_bundle, self._connect_timeout_seconds)
        return self._endpoint.connect()

    def _refuse_proxy(self) -> None:
        """A network that lets out what its proxy has seen is not to be bypassed without a word."""
        proxies = get_environ_proxies(self._url) if self._proxies is None else self._proxies
        if ProxyConfiguration(proxies).proxy_url_for(self._url) is not None:
            detail = f"dynamodb: {self._host} is to be in NO_PROXY"
            raise TransientError("proxy_not_supported", detail)

    async def call(self, operation: str, body: bytes) -> Any:
        """The answer to a request; raises `TransientError` when there is none to be had.

        What may have arrived is sent again: only calls for which that does no harm may go this
        way. Throttling is waited out for as long as there is time.
        """
        tries = throttled_tries = 0
        while True:
            try:
                return await self._try(operation, body)
            except _PassingError as passing:
                trouble = passing.trouble
            if trouble.code == "throttled":
                throttled_tries += 1
            else:
                tries += 1
            if tries == MAX_TRIES or throttled_tries == MAX_THROTTLED_TRIES:
                raise trouble
            await self.pause(tries + throttled_tries, trouble)

    async def pause(self, tries: int, trouble: TransientError) -> None:
        """Waits before another try, the longer the more there were; raises `trouble` at the end
        of the time.
        """
        seconds = random.uniform(0, longest_pause_seconds(tries))
        if not await Pause(seconds, is_throttled=trouble.code == "throttled"):
            raise trouble

    async def _try(self, operation: str, body: bytes) -> Any:
        """The answer; raises `_PassingError` where another try may help, else `TransientError`."""
        try:
            answer = await self._exchanged(operation, body)
        except (ConnectionLostError, BotoCoreError):
            trouble = TransientError("aws_unreachable", f"dynamodb:{operation}")
            raise _PassingError(trouble) from None
        if answer.status == 200:
            return _document(operation, answer)
        code = _error_code(answer)
        trouble = transient(f"dynamodb:{operation}", code)
        raise _PassingError(trouble) if is_throttle(code) or answer.status >= 500 else trouble

    async def _exchanged(self, operation: str, body: bytes) -> Answer:
        headers = self._signer(operation).headers(body)
        headers["content-length"] = str(len(body))
        sent: Any = _Headers(headers)
        request = AWSPreparedRequest("POST", self._url, sent, body, False)
        hooks = self._events.emit(f"before-send.dynamodb.{operation}", request=request)
        hooked = first_non_none_response(hooks)
        if hooked is not None:
            return Answer(hooked.status_code, hooked.content)
        return await Exchange(_head(self._path, headers) + body, self._timeout_seconds)

    def _signer(self, operation: str) -> Signer:
        signer = self._signers.get(operation)
        if signer is None:
            headers = (("content-type", _CONTENT_TYPE), ("x-amz-target", f"{_API}.{operation}"))
            target = Target("dynamodb", self._region, self._host, self._path, headers)
            signer = Signer(target, self._credentials, self._clock)
            self._signers[operation] = signer
        return signer

    @property
    def _host(self) -> str:
        return self._url.split("/")[2]

    @property
    def _path(self) -> str:
        return "/" + self._url.split("/", 3)[3]


def _head(path: str, headers: Mapping[str, str]) -> bytes:
    lines = "\r\n".join([f"{name}: {value}" for name, value in headers.items()])
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n\r\n".encode()


def _document(operation: str, answer: Answer) -> Any:
    """What a success says; all bulk calls give `Responses`, and without them it is none."""
    try:
        document = orjson.loads(answer.body)
        if isinstance(document, dict) and "Responses" in document:
            return document
    except orjson.JSONDecodeError:
        pass
    trouble = TransientError("aws_error", f"dynamodb:{operation}: a success without its content")
    raise _PassingError(trouble) from None


def _error_code(answer: Answer) -> str:
    """AWS's code for an error, without its text."""
    try:
        document = orjson.loads(answer.body)
        kind = str(document["__type"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"HTTP {answer.status}"
    return kind.rsplit("#", 1)[-1]
