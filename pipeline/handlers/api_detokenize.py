"""The function behind all routes but `/tokenize`: it reads the vault, and writes nothing there."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.utilities.typing import LambdaContext

from pipeline.api_wiring import bulk_of, opening_of
from pipeline.bulk import Bulk
from pipeline.handlers.api_bulk import add_bulk
from pipeline.handlers.api_edge import answer, logger, metrics, resolver, tracer
from pipeline.handlers.api_routes import add_opening
from pipeline.handlers.edge import contained
from pipeline.opening import Opening
from pipeline.settings import ApiSettings


@cache
def opening() -> Opening:
    """The service of this execution environment, made on first use."""
    return opening_of(ApiSettings.from_environment(os.environ))


@cache
def bulk() -> Bulk:
    """The service for bulk jobs, made on first use."""
    return bulk_of(ApiSettings.from_environment(os.environ), opening())


@cache
def app() -> APIGatewayRestResolver:
    """The routes, made on first use."""
    return add_bulk(add_opening(resolver(), opening), bulk)


@contained
@logger.inject_lambda_context(log_event=False, clear_state=True)
@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
@metrics.log_metrics
@contained  # here as well: the tracer notes the text of an error in the trace
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda entry point: API Gateway's proxy event in, its response out."""
    return answer(app(), event, context)
