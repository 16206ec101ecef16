"""The API held against its own document by generated requests, good ones and bad ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import unsupported_method

from pipeline.core.leaks import LeakScanner
from pipeline.handlers.api_document import openapi_document
from pipeline.handlers.api_models import MAX_TEXT_CHARACTERS
from pipeline.testing import api_event
from tests.api import GRANTS, SOMEONE, Api

EXAMPLES = 40  # of each route
PLENTY = GRANTS.replace("per_minute = 1000", "per_minute = 10000000").replace(
    "per_day = 1500", "per_day = 10000000"
)
KNOWN = "4485733190264178"
REASONS = {200: "OK"}

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class WsgiApi:
    """API Gateway's part, played for a WSGI client."""

    def __init__(self) -> None:
        self.api = Api(PLENTY)
        (self.token,) = self.api.tokens_of(KNOWN)
        self.statuses: set[int] = set()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/openapi.json":
            start_response("200 OK", [("Content-Type", "application/json")])
            return [openapi_document().encode()]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        event = api_event(
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"),
            body.decode("utf-8", "replace") or None,
            user_arn=SOMEONE,
            headers={"content-type": environ.get("CONTENT_TYPE") or "application/json"},
        )
        self.api.wait(minutes=2)  # so that no limit and no lock hides the rest
        self.api.usages.usages.clear()
        answer = self.api.send(event)
        self.statuses.add(answer.status)
        headers = [(name, value) for name, value in answer.headers.items()]
        start_response(f"{answer.status} {REASONS.get(answer.status, 'Problem')}", headers)
        return [answer.raw["body"].encode()]


APP = WsgiApi()
schema = schemathesis.openapi.from_wsgi("/openapi.json", APP)
schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])


@schema.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
def test_generated_requests_get_documented_answers(case: schemathesis.Case) -> None:
    is_opened = _with_a_token_that_opens(case)
    response = case.call()

    # API Gateway answers other methods itself.
    case.validate_response(response, excluded_checks=[unsupported_method])
    assert response.status_code < 500
    assert response.headers["cache-control"] == ["no-store"]
    if not (is_opened and response.status_code == 200):
        assert LeakScanner([KNOWN.encode()]).leaks_in(response.content) == []


def _with_a_token_that_opens(case: schemathesis.Case) -> bool:
    """Puts one among the tokens that are sent; says whether its card number is asked for."""
    body = case.body
    if case.path != "/detokenize" or not isinstance(body, dict):
        return False
    tokens = body.get("tokens")
    if isinstance(tokens, list) and tokens and isinstance(tokens[0], str) and tokens[0].isascii():
        tokens[0] = APP.token if len(tokens[0]) <= MAX_TEXT_CHARACTERS else tokens[0]
    return body.get("view") == "full"
