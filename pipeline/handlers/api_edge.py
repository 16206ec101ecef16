"""The edge of the API: whoever calls, whatever happens, the answer is one of ours.

Nothing that a caller sends is logged, measured, traced or repeated in an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError, ServiceError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.metrics import MetricUnit

from pipeline.access import RefusedError
from pipeline.core.grants import Caller, principal_of
from pipeline.errors import PantokError
from pipeline.handlers.api_problems import (
    problem,
    problem_of_failure,
    problem_of_mistakes,
    problem_of_refusal,
)
from pipeline.handlers.edge import without_content
from pipeline.log_filter import redacted

SERVICE = "pantok"
MAX_BODY_CHARACTERS = 256 * 1024
JSON_TYPE = "application/json"
HEADERS = {
    "Cache-Control": "no-store",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
}

logger = Logger(service=SERVICE)
metrics = Metrics(namespace="Pantok", service=SERVICE)
tracer = Tracer(service=SERVICE, auto_patch=False)

_REQUEST_ID = re.compile(r"[0-9a-f-]{8,64}")


def resolver() -> APIGatewayRestResolver:
    """A resolver that validates what it takes, and answers every error with a problem document."""
    app = APIGatewayRestResolver(enable_validation=True, debug=False)

    def request_id() -> str:
        return caller_of(app).request_id

    def invalid(error: RequestValidationError) -> Response[str]:
        return problem_of_mistakes(error.errors(), request_id())

    def refused(refusal: RefusedError) -> Response[str]:
        count_refusal(refusal.code)
        return problem_of_refusal(refusal, request_id())

    def no_such_route(_: ServiceError) -> Response[str]:
        return problem(HTTPStatus.NOT_FOUND, "no_such_route", request_id())

    def failed(error: Exception) -> Response[str]:
        return problem_of_failure(_noted(error), request_id())

    app.exception_handler(RequestValidationError)(invalid)
    app.exception_handler(RefusedError)(refused)
    app.exception_handler([ServiceError, NotFoundError])(no_such_route)
    app.exception_handler(Exception)(failed)
    return app


def caller_of(app: APIGatewayRestResolver) -> Caller:
    """Who API Gateway says is calling; "" where it does not say.

    Names of sessions are chosen by callers, so they are searched for card numbers.
    """
    context = _mapping(app.current_event.get("requestContext"))
    identity = _mapping(context.get("identity"))
    principal, session = principal_of(str(identity.get("userArn") or ""))
    return Caller(
        principal=redacted(principal),
        session=redacted(session),
        source_ip=_address(identity.get("sourceIp")),
        request_id=_id(context.get("requestId")),
    )


def answer(app: APIGatewayRestResolver, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """API Gateway's event to its response: it is never cached, and never an error of others."""
    try:
        response = _resolved(app, event, context)
    except Exception as error:  # noqa: BLE001 - the edge
        response = _plain(problem_of_failure(_noted(error), _request_id(event)))
    headers = response.setdefault("multiValueHeaders", {})
    headers.update({name: [value] for name, value in HEADERS.items()})
    headers["X-Request-Id"] = [_request_id(event)]
    return response


def count_refusal(code: str) -> None:
    """Counts a refusal, and a caller that is locked once more: that one raises an alarm."""
    metrics.add_metric("RequestsRefused", MetricUnit.Count, 1)
    if code == "caller_locked":
        metrics.add_metric("CallersLocked", MetricUnit.Count, 1)


def _resolved(
    app: APIGatewayRestResolver, event: Mapping[str, Any], context: Any
) -> dict[str, Any]:
    body = event.get("body") or ""
    if body and not _is_json_text(event):
        unsupported = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        return _plain(problem(unsupported, "not_json", _request_id(event)))
    if len(body) > MAX_BODY_CHARACTERS:
        too_large = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return _plain(problem(too_large, "body_too_large", _request_id(event)))
    return app.resolve(dict(event), context)


def _is_json_text(event: Mapping[str, Any]) -> bool:
    """Whether the body is text that says it is JSON, or says nothing: forms have other readers."""
    names = {name.lower(): value for name, value in _mapping(event.get("headers")).items()}
    kind = str(names.get("content-type") or JSON_TYPE).partition(";")[0].strip().lower()
    return kind == JSON_TYPE and not event.get("isBase64Encoded")


def _noted(error: Exception) -> PantokError:
    described = error if isinstance(error, PantokError) else without_content(error)
    facts = {"reason": described.code, "detail": described.detail}
    logger.error("request failed", extra=facts)
    metrics.add_metric("RequestsFailed", MetricUnit.Count, 1)
    return described


def _plain(response: Response[str]) -> dict[str, Any]:
    headers = {name: [str(value)] for name, value in response.headers.items()}
    return {
        "statusCode": response.status_code,
        "body": response.body,
        "isBase64Encoded": False,
        "multiValueHeaders": headers,
    }


def _request_id(event: Mapping[str, Any]) -> str:
    return _id(_mapping(event.get("requestContext")).get("requestId"))


def _id(unverified: object) -> str:
    text = unverified if isinstance(unverified, str) else ""
    return text if _REQUEST_ID.fullmatch(text) and redacted(text) == text else ""


def _address(unverified: object) -> str:
    try:
        return str(ip_address(str(unverified)))
    except ValueError:
        return ""


def _mapping(unverified: object) -> Mapping[str, Any]:
    return unverified if isinstance(unverified, dict) else {}
