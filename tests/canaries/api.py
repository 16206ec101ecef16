"""The API's functions as Lambda calls them, with canaries in everything that a caller can send."""

from __future__ import annotations

import io
import json
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from pipeline.handlers import api_detokenize, api_edge
from pipeline.testing import api_event
from tests.api import CLERK, SOMEONE, Api
from tests.canaries.stage import (
    AMEX,
    CANARIES,
    LONG,
    MISTYPED,
    SCANNER,
    VALID,
    Context,
    RuntimeFormatter,
    Streams,
    Trace,
    keep_logging,
)

CVV, PIN_BLOCK = "cvv-9137", "0412ac7f3b89dde1"
TRACK = f";{VALID}=25121010000000000000?"
SENSITIVE = (CVV, PIN_BLOCK, TRACK)  # never kept, never repeated (PCI DSS 3.3.1)


class ApiStage:
    """All routes behind one function, before a vault in memory; what comes out of it is kept."""

    def __init__(self, stack: ExitStack) -> None:
        self.api, self._stack = Api(), stack
        self.streams, self.trace = Streams(), Trace()
        stack.callback(self.streams.close)
        self.printed = {name: io.StringIO() for name in ("text", "json", "own")}
        self.answers: list[Any] = []
        self.errors: list[str] = []
        handlers = [logging.StreamHandler(self.printed[name]) for name in ("text", "json")]
        handlers[1].setFormatter(RuntimeFormatter())
        self.patch(logging.root, "handlers", handlers)
        self.patch(logging.root, "level", logging.DEBUG)
        for handler in logging.getLogger(api_edge.SERVICE).handlers:
            self.patch(handler, "stream", self.printed["own"])
        self.patch(api_edge.tracer, "provider", self.trace)
        self.patch(api_detokenize, "app", lambda: self.api.app)

    def patch(self, target: Any, name: str, value: Any) -> None:
        self._stack.enter_context(mock.patch.object(target, name, value))

    def call(self, event: Any) -> Any:
        """As Lambda's runtime does: an error that leaves the handler is printed."""
        with self.streams.redirected(), warnings.catch_warnings():
            warnings.simplefilter("always")
            try:
                self.answers.append(api_detokenize.handler(event, Context()))  # type: ignore[arg-type]
            except Exception as error:  # noqa: BLE001
                self.errors.append("".join(traceback.format_exception(error)) + repr(error))
                return None
        return self.answers[-1]

    def surfaces(self) -> dict[str, bytes]:
        return {
            "API: standard output, metrics included": self.streams.read(1),
            "API: standard error": self.streams.read(2),
            "API: Lambda's log as text": self.printed["text"].getvalue().encode(),
            "API: Lambda's log as JSON": self.printed["json"].getvalue().encode(),
            "API: the function's own log": self.printed["own"].getvalue().encode(),
            "API: traces": repr(self.trace.noted).encode(),
            "API: answers": json.dumps(self.answers).encode(),
            "API: errors that Lambda prints": "\n".join(self.errors).encode(),
            "API: the record of accesses": "\n".join(self.api.audit.lines).encode(),
        }

    def leaks(self) -> dict[str, int]:
        """The surfaces on which a canary or sensitive data stand, and how often."""
        found = {
            name: len(SCANNER.leaks_in(content))
            + sum(content.count(each.encode()) for each in SENSITIVE)
            for name, content in self.surfaces().items()
        }
        return {name: count for name, count in found.items() if count}


@contextmanager
def api_stage() -> Iterator[ApiStage]:
    """A fresh API, and logging as it was afterwards."""
    with ExitStack() as stack:
        keep_logging(stack)
        yield ApiStage(stack)
        api_edge.metrics.clear_metrics()


# What callers send

_VALUES: tuple[Any, ...] = (
    *CANARIES,
    *SENSITIVE,
    f"{VALID} {AMEX}",
    int(VALID),
    [VALID],
    {VALID: AMEX},
    float(AMEX),
)
_BODIES: dict[str, dict[str, Any]] = {
    "/tokenize": {"scope": "default", "items": [{"pan": VALID, "customer_id": "c"}]},
    "/detokenize": {"purpose": "chargeback", "view": "masked", "tokens": ["tok_" + "a" * 26]},
    "/bulk-jobs": {"purpose": "chargeback", "rows": 1, "tokens_root": "0" * 64, "public_key": "x"},
    "/bulk-jobs/slices": {"document": {}, "number": 0, "tokens": [], "proof": []},
    "/bulk-jobs/end": {"document": {}},
}


def _post(path: str, document: Any, **more: Any) -> dict[str, Any]:
    body = document if isinstance(document, str) else json.dumps(document)
    return api_event("POST", path, body, **more)


def in_every_field() -> Iterator[dict[str, Any]]:
    """Each value in each field of each document, known and unknown ones."""
    for path, document in _BODIES.items():
        for value in _VALUES:
            for name in (*document, "cvv", "track2", "pin_block", VALID):
                if (path, name) != ("/tokenize", "items"):
                    yield _post(path, {**document, name: value})
    for value in _VALUES:
        for name in ("pan", "customer_id", "cvv", "track2", VALID):
            yield _post("/tokenize", {"items": [{"pan": f"x{VALID}", name: value}]})


def malformed_bodies() -> Iterator[dict[str, Any]]:
    texts = [f'{{"pan": {VALID}', VALID, json.dumps(VALID), json.dumps([AMEX]), f"pan={VALID}"]
    texts += [f'{{"items": [{{"pan": "{VALID}", "pan": {AMEX}}}], "{LONG}": NaN}}', f"\0{VALID}"]
    texts += [f'"{VALID}' * 10_000, '{"a":' * 3000 + VALID]
    for path in _BODIES:
        for text in texts:
            yield _post(path, text)
            yield {**_post(path, text), "isBase64Encoded": True}
            kind = {"content-type": "application/x-www-form-urlencoded"}
            yield _post(path, text, headers=kind)


def beside_the_body() -> Iterator[dict[str, Any]]:
    """Canaries in paths, queries, headers, methods and in what API Gateway says of the caller."""
    for canary in (*CANARIES, TRACK, PIN_BLOCK):
        for path in (
            f"/tokens/{canary}",
            f"/{canary}",
            f"/tokenize/{canary}",
            f"/tokens/{VALID}%20",
        ):
            for method in ("GET", "POST", "DELETE", canary):
                yield api_event(method, path)
        asked = {"pan": canary, canary: "1"}
        for path, document in _BODIES.items():
            event = _post(path, document)
            many = {name: [value] for name, value in asked.items()}
            yield {
                **event,
                "queryStringParameters": asked,
                "multiValueQueryStringParameters": many,
                "pathParameters": {"token": canary},
                "stageVariables": asked,
            }
            sent = {"X-Card": canary, f"X-{canary}": "1", "User-Agent": canary, "Cookie": canary}
            sent |= {"X-Request-Id": canary, "X-Amzn-Trace-Id": canary, "Authorization": canary}
            yield _post(path, {**document, "purpose": "nothing"}, headers=sent)
            yield _post(path, document, headers={"content-type": canary})
            if canary != PIN_BLOCK:  # as good a name or id as any
                yield _post(path, document, user_arn=f"{CLERK[:-6]}{canary}")
                identity = {"userArn": SOMEONE, "sourceIp": canary, "userAgent": canary}
                yield {**event, "requestContext": {"identity": identity, "requestId": canary}}


def not_of_api_gateway() -> Iterator[Any]:
    yield from (VALID, [VALID], {}, {"body": VALID}, {VALID: AMEX}, None)
    yield {"requestContext": VALID, "path": f"/{VALID}", "httpMethod": "GET"}
    yield {**_post("/tokenize", {"items": [{"pan": VALID}]}), "headers": VALID}
    yield {**_post("/tokenize", {}), "body": {"pan": VALID}}


ATTACKS = {
    "in every field": in_every_field,
    "in malformed bodies": malformed_bodies,
    "in paths, queries and headers": beside_the_body,
    "in events that are not API Gateway's": not_of_api_gateway,
}


def crash(*_: Any, **__: Any) -> Any:
    card = VALID  # a local variable, for tracebacks that print them
    raise RuntimeError(f"cannot go on with {card}", MISTYPED) from KeyError(AMEX)
