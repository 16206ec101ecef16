"""Errors of the API as problem documents (RFC 9457): codes and places, never a value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response

from pipeline.access import RefusedError
from pipeline.errors import PantokError, TransientError
from pipeline.handlers.api_models import Mistake, Problem

PROBLEM_TYPE = "application/problem+json"
STATUS_OF_REFUSAL = {
    "caller_unknown": HTTPStatus.FORBIDDEN,
    "not_granted": HTTPStatus.FORBIDDEN,
    "job_too_large": HTTPStatus.FORBIDDEN,
    "not_approved": HTTPStatus.FORBIDDEN,
    "not_of_this_job": HTTPStatus.FORBIDDEN,
    "not_requester": HTTPStatus.FORBIDDEN,
    "invalid_public_key": HTTPStatus.UNPROCESSABLE_ENTITY,
    "scope_closed": HTTPStatus.FORBIDDEN,
    "unknown_token": HTTPStatus.NOT_FOUND,
    "caller_locked": HTTPStatus.LOCKED,
    "limit_exceeded": HTTPStatus.TOO_MANY_REQUESTS,
}
TITLES = {
    "caller_unknown": "Nobody in particular is calling",
    "not_granted": "No grant covers this",
    "job_too_large": "The grant lets jobs have fewer rows",
    "not_approved": "Nobody approved the job, or the approval is over",
    "not_of_this_job": "These tokens do not belong to the job",
    "not_requester": "Somebody else asked for the job",
    "invalid_public_key": "The public key is none that a result can be sealed to",
    "scope_closed": "Nothing is tokenized in this scope any more",
    "unknown_token": "There is no such token",
    "caller_locked": "The caller is locked after too many unknown tokens",
    "limit_exceeded": "The caller's limit is used up",
    "no_such_route": "There is nothing here",
    "invalid_request": "The request does not hold to the API's document",
    "not_json": "The body is not application/json",
    "body_too_large": "The body is too large",
    "try_again": "Try again later",
    "unexpected": "Something went wrong here",
}
TRY_AGAIN_SECONDS = 2

# All that may stand in a place; any other name was made up by the caller, and may be a PAN.
_FIELDS = frozenset(
    {"number", "proof", "rows", "tokens_root", "public_key", "document", "job", "wrapped_key"}
    | {"job_id", "requester", "reason", "created_at"}
    | {"body", "path", "pan", "customer_id", "scope", "items", "purpose", "view", "tokens", "token"}
)
_CODE = re.compile(r"[a-z_]{1,64}")


def problem(
    status: HTTPStatus,
    code: str,
    request_id: str,
    *,
    retry_after_seconds: int | None = None,
    mistakes: list[Mistake] | None = None,
) -> Response[str]:
    """The response for a problem."""
    document = Problem(
        title=TITLES[code],
        status=status.value,
        code=code,
        request_id=request_id,
        retry_after_seconds=retry_after_seconds,
        mistakes=mistakes,
    )
    headers: dict[str, str | list[str]] = {}
    if retry_after_seconds is not None:
        headers["Retry-After"] = str(retry_after_seconds)
    return Response(
        status_code=status.value,
        content_type=PROBLEM_TYPE,
        body=document.model_dump_json(exclude_none=True),
        headers=headers,
    )


def problem_of_refusal(refusal: RefusedError, request_id: str) -> Response[str]:
    """Why the caller may not, or has to wait."""
    return problem(
        STATUS_OF_REFUSAL[refusal.code],
        refusal.code,
        request_id,
        retry_after_seconds=refusal.retry_after_seconds,
    )


def problem_of_failure(error: PantokError, request_id: str) -> Response[str]:
    """What went wrong on our side: whether trying again may help, and no more."""
    if isinstance(error, TransientError) and error.code != "unexpected":
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "try_again",
            request_id,
            retry_after_seconds=TRY_AGAIN_SECONDS,
        )
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected", request_id)


def problem_of_mistakes(errors: Sequence[Any], request_id: str) -> Response[str]:
    """Where the request is wrong, and in which way."""
    mistakes = [Mistake(place=_place(each["loc"]), code=_code(each["type"])) for each in errors]
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", request_id, mistakes=mistakes[:20]
    )


def _place(location: Sequence[object]) -> str:
    place = ""
    for part in location[1:] or location:
        if isinstance(part, int):
            place += f"[{min(part, 9_999)}]"
        else:
            place += f".{part if part in _FIELDS else '?'}"
    return place.removeprefix(".")


def _code(kind: object) -> str:
    return kind if isinstance(kind, str) and _CODE.fullmatch(kind) else "invalid"
