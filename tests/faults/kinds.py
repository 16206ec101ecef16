"""What can go wrong with one request to AWS, and with the worker that sends it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from tests.faults.cloud import Apply, CloudWorker, KilledError, json_response

Kind = Callable[["Fault", str, Any, Apply], AWSResponse]
URL = "https://aws.example"


@dataclass
class Fault:
    """One kind of fault at the k-th request of a worker, counted from 1.

    `overtake` lets another worker do all there is to do, or somebody change the source. A fault that `lasts` goes on until the
    delivery ends, SDK retries and the worker's own clean-up included.
    """

    kind: str
    at: int
    overtake: Callable[[], None] | None = None
    times_struck: int = 0

    @property
    def lasts(self) -> bool:
        return self.kind in LASTING

    def meddle(self, count: int, operation: str, request: Any, apply: Apply) -> AWSResponse:
        if count < self.at or (self.times_struck and not self.lasts):
            return apply(request)
        self.times_struck += 1
        return KINDS[self.kind](self, operation, request, apply)

    def put_in(self, worker: CloudWorker) -> None:
        worker.wire.meddle = self.meddle


def _refused(_fault: Fault, _operation: str, _request: Any, _apply: Apply) -> AWSResponse:
    raise EndpointConnectionError(endpoint_url=URL)


def _reply_lost(_fault: Fault, _operation: str, request: Any, apply: Apply) -> AWSResponse:
    apply(request)
    raise ReadTimeoutError(endpoint_url=URL)


def _error(code: str, status: int) -> Kind:
    def fault(_fault: Fault, operation: str, request: Any, _apply: Apply) -> AWSResponse:
        if operation.startswith("s3."):
            content = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            return json_response(request, content, status)
        return json_response(request, {"__type": f"com.amazonaws#{code}", "message": "no"}, status)

    return fault


_throttled = _error("ThrottlingException", 400)


def _throttled_in_part(fault: Fault, operation: str, request: Any, apply: Apply) -> AWSResponse:
    if operation == "dynamodb.BatchExecuteStatement":
        return _some_statements(request, apply)
    if operation == "dynamodb.BatchGetItem":
        return _some_keys(request, apply)
    return _throttled(fault, operation, request, apply)


def _some_statements(request: Any, apply: Apply) -> AWSResponse:
    """Every second statement is executed, and of the others one is said to have failed."""
    statements = json.loads(request.body)["Statements"]
    taken = json.dumps({"Statements": statements[::2]}).encode()
    body, request.body = request.body, taken
    results = json.loads(apply(request).content)["Responses"]
    request.body = body
    throttled = {"Error": {"Code": "ThrottlingError", "Message": "no"}}
    answers = [results[at // 2] if at % 2 == 0 else throttled for at in range(len(statements))]
    return json_response(request, {"Responses": answers})


def _some_keys(request: Any, apply: Apply) -> AWSResponse:
    """Every second key is looked up."""
    document = json.loads(request.body)
    ((table, wanted),) = document["RequestItems"].items()
    rest = {**wanted, "Keys": wanted["Keys"][1::2]}
    body = request.body
    request.body = json.dumps(
        {"RequestItems": {table: {**wanted, "Keys": wanted["Keys"][::2]}}}
    ).encode()
    answer = json.loads(apply(request).content)
    request.body = body
    if rest["Keys"]:
        answer["UnprocessedKeys"] = {table: rest}
    return json_response(request, answer)


def _killed_before(fault: Fault, _operation: str, _request: Any, _apply: Apply) -> AWSResponse:
    raise KilledError


def _killed_after(fault: Fault, _operation: str, request: Any, apply: Apply) -> AWSResponse:
    if fault.times_struck == 1:
        apply(request)
    raise KilledError


def _overtaken_before(fault: Fault, _operation: str, request: Any, apply: Apply) -> AWSResponse:
    assert fault.overtake is not None
    fault.overtake()
    return apply(request)


def _overtaken_after(fault: Fault, _operation: str, request: Any, apply: Apply) -> AWSResponse:
    assert fault.overtake is not None
    response = apply(request)
    fault.overtake()
    return response


KINDS: dict[str, Kind] = {
    "refused once": _refused,
    "unreachable": _refused,
    "reply lost once": _reply_lost,
    "replies lost": _reply_lost,
    "throttled once": _throttled,
    "throttled": _throttled,
    "throttled in part": _throttled_in_part,
    "server error once": _error("InternalServerError", 500),
    "denied": _error("AccessDeniedException", 400),
    "killed before": _killed_before,
    "killed after": _killed_after,
    "overtaken before": _overtaken_before,
    "overtaken after": _overtaken_after,
    "source deleted": _overtaken_before,
    "source replaced": _overtaken_before,
}
LASTING = frozenset({"unreachable", "replies lost", "throttled", "denied", "killed before", "killed after"})  # fmt: skip
