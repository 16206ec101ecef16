"""The routes that take tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Path
from aws_lambda_powertools.metrics import MetricUnit

from pipeline.access import Request
from pipeline.handlers.api_edge import caller_of, metrics
from pipeline.handlers.api_models import (
    MAX_TEXT_CHARACTERS,
    DetokenizedToken,
    DetokenizeRequest,
    DetokenizeResponse,
    ItemError,
    TokenDescription,
)
from pipeline.handlers.api_responses import problem_response, responses
from pipeline.opening import OpenedItem, Opening


def add_opening(
    app: APIGatewayRestResolver, service: Callable[[], Opening]
) -> APIGatewayRestResolver:
    """Adds the routes that take tokens."""

    @app.post(
        "/detokenize",
        summary="Tokens in, card numbers out",
        description="Masked unless the full view is asked for and granted. Every call is recorded.",
        operation_id="detokenize",
        responses=responses("One result for each token.", DetokenizeResponse),
    )
    def detokenize(body: DetokenizeRequest) -> DetokenizeResponse:
        request = Request(caller_of(app), "detokenize", len(body.tokens), body.purpose, body.view)
        items = service().open(request, body.tokens)
        count = sum(item.error is None for item in items)
        metrics.add_metric("TokensDetokenized", MetricUnit.Count, count)
        broken = sum(item.error in ("seal_broken", "data_key_broken") for item in items)
        metrics.add_metric("SealsBroken", MetricUnit.Count, broken)
        return DetokenizeResponse(results=[_opened(item) for item in items])

    @app.get(
        "/tokens/<token>",
        summary="What is known of a token",
        description="Its metadata; nothing is opened for it.",
        operation_id="describeToken",
        responses=responses("What is known.", TokenDescription)
        | {404: problem_response("There is no such token, or not for this caller.")},
    )
    def describe(
        token: Annotated[str, Path(max_length=MAX_TEXT_CHARACTERS)],
    ) -> TokenDescription:
        row = service().describe(Request(caller_of(app), "describe", 1), token)
        return TokenDescription(
            token=row.token,
            last4=row.metadata["last4"],
            scheme=row.metadata["scheme"],
            created_at=row.created_at,
        )

    return app


def _opened(item: OpenedItem) -> DetokenizedToken:
    return DetokenizedToken(token=item.token, pan=item.pan, error=ItemError.of(item.error))
