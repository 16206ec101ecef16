"""The OpenAPI document of the API."""

from __future__ import annotations

from typing import Any

from pipeline import __version__
from pipeline.handlers.api_bulk import add_bulk
from pipeline.handlers.api_edge import resolver
from pipeline.handlers.api_routes import add_opening
from pipeline.handlers.api_tokenizing import add_tokenizing


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
