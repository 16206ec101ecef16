"""The route that takes card numbers."""

from __future__ import annotations

from collections.abc import Callable

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.metrics import MetricUnit

from pipeline.access import Request
from pipeline.handlers.api_edge import caller_of, metrics
from pipeline.handlers.api_models import ItemError, TokenizedCard, TokenizeRequest, TokenizeResponse
from pipeline.handlers.api_responses import responses
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


def _tokenized(item: TokenizedItem) -> TokenizedCard:
    return TokenizedCard(
        token=item.token,
        last4=item.last4,
        scheme=item.scheme,
        passes_luhn=item.passes_luhn,
        error=ItemError.of(item.error),
    )
