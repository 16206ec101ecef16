"""The function behind `POST /tokenize`: it adds to the vault and can neither read nor open it."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.utilities.typing import LambdaContext

from pipeline.handlers.api_edge import answer, logger, metrics, resolver, tracer
from pipeline.handlers.api_tokenizing import add_tokenizing
from pipeline.handlers.edge import contained
from pipeline.settings import ApiSettings
from pipeline.tokenize_api import Tokenizing
from pipeline.tokenize_wiring import tokenizing_of


@cache
def tokenizing() -> Tokenizing:
    """The service of this execution environment, made on first use."""
    return tokenizing_of(ApiSettings.from_environment(os.environ))


@cache
def app() -> APIGatewayRestResolver:
    """The routes, made on first use."""
    return add_tokenizing(resolver(), tokenizing)


@contained
@logger.inject_lambda_context(log_event=False, clear_state=True)
@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
@metrics.log_metrics
@contained  # here as well: the tracer notes the text of an error in the trace
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda entry point: API Gateway's proxy event in, its response out."""
    return answer(app(), event, context)
