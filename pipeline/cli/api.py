"""The API's document."""

from __future__ import annotations

import sys

import typer

from pipeline.cli.output import examples

app = typer.Typer(
    help="The API of a deployment.",
    epilog=examples("pantok api openapi > openapi.json"),
    no_args_is_help=True,
)


@app.callback()
def _commands() -> None:
    pass


@app.command(epilog=examples("pantok api openapi > openapi.json"))
def openapi() -> None:
    """Prints the OpenAPI document."""
    from pipeline.handlers.api_document import openapi_document  # noqa: PLC0415 - a second's import

    sys.stdout.write(openapi_document() + "\n")
