"""The routes of the API, and its OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Path
from aws_lambda_powertools.metrics import MetricUnit

from pipeline import __version__
from pipeline.access import Request
from pipeline.handlers.api_bulk import add_bulk
from pipeline.handlers.api_edge import caller_of, metrics, resolver
from pipeline.handlers.api_models import (
    MAX_TEXT_CHARACTERS,
    DetokenizedToken,
    DetokenizeRequest,
    DetokenizeResponse,
    ItemError,
    TokenDescription,
    TokenizedCard,
    TokenizeRequest,
    TokenizeResponse,
)
from pipeline.handlers.api_responses import problem_response, responses
from pipeline.opening import OpenedItem, Opening
from pipeline.tokenize_api import Card, TokenizedItem, Tokenizing


def add_tokenizing(
    app: APIGatewayRestResolver, service: Callable[[], Tokenizing]
) -> APIGatewayRestResolver:
    """Adds the route that takes card numbers."""

    @app.post(
        "/tokenize",
        summary="Card numbers in, tokens out",
        description="The same card number of the same scope gets the same token, always.",
        operation_id="tokenize",
        responses=responses("One result for each card number.", TokenizeResponse),
    )
    def tokenize(body: TokenizeRequest) -> TokenizeResponse:
        request = Request(caller_of(app), "tokenize", len(body.items), scope=body.scope)
        cards = [Card(item.pan, item.customer_id) for item in body.items]
        items = service().tokenize(request, cards, body.scope)
        metrics.add_metric(
            "TokensGivenOut", MetricUnit.Count, sum(item.error is None for item in items)
        )
        return TokenizeResponse(results=[_tokenized(item) for item in items])

    return app


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


def openapi_document() -> str:
    """The OpenAPI document of all routes, as JSON."""
    app = add_bulk(add_opening(add_tokenizing(resolver(), _nobody), _nobody), _nobody)
    app.configure_openapi(
        title="pantok",
        version=__version__,
        description="Tokens for card numbers, and card numbers for the few who may see them. "
        "Requests are signed (AWS Signature Version 4, service execute-api).",
    )
    return app.get_openapi_json_schema()


def _nobody() -> Any:
    raise NotImplementedError("the document describes, it does not serve")


def _tokenized(item: TokenizedItem) -> TokenizedCard:
    return TokenizedCard(
        token=item.token,
        last4=item.last4,
        scheme=item.scheme,
        passes_luhn=item.passes_luhn,
        error=_error(item.error),
    )


def _opened(item: OpenedItem) -> DetokenizedToken:
    return DetokenizedToken(token=item.token, pan=item.pan, error=_error(item.error))


def _error(code: str | None) -> ItemError | None:
    return ItemError(code=code) if code else None
