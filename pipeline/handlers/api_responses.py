"""What the OpenAPI document says of answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pipeline.handlers.api_models import Problem
from pipeline.handlers.api_problems import PROBLEM_TYPE

_PROBLEMS = {
    HTTPStatus.FORBIDDEN: "No grant covers the request.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than 256 KB.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not application/json.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request does not hold to this document.",
    HTTPStatus.LOCKED: "The caller asked for too many unknown tokens.",
    HTTPStatus.TOO_MANY_REQUESTS: "The caller's limit is used up.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Something went wrong that may pass.",
}


def responses(description: str, model: type) -> Any:
    """The answer of a route, and the problems that every route has."""
    answer = {"description": description, "content": {"application/json": {"model": model}}}
    return {200: answer} | {
        status.value: problem_response(text) for status, text in _PROBLEMS.items()
    }


def problem_response(description: str) -> dict[str, Any]:
    """A problem, and when it comes."""
    return {"description": description, "content": {PROBLEM_TYPE: {"model": Problem}}}
