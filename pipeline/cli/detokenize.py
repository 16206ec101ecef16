"""Tokens back to card numbers, through the API like everybody else."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.aws.api_client import ApiClient
from pipeline.cli.output import JsonFlag, StackOption, examples, print_json, table
from pipeline.cli.session import deployment
from pipeline.core.envelope import TOKEN_PATTERN
from pipeline.errors import PermanentError

TOKENS_PER_CALL = 100

EXAMPLES = examples(
    "pantok detokenize tok_by5cez5exunp6atmttkpb2sw6m --purpose chargeback",
    "pantok detokenize tok_by5cez5exunp6atmttkpb2sw6m --purpose chargeback --full --json",
)


def detokenize(
    tokens: Annotated[list[str], typer.Argument(metavar="TOKEN…", help="Tokens.")],
    purpose: Annotated[
        str, typer.Option("--purpose", help="What for: it must be granted, and is recorded.")
    ],
    is_full: Annotated[
        bool, typer.Option("--full", help="The whole card number, if that is granted.")
    ] = False,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Shows the card numbers behind tokens, masked unless the whole is asked for."""
    for number, token in enumerate(tokens, start=1):
        if not TOKEN_PATTERN.fullmatch(token):  # it may be a card number: it is not sent
            raise PermanentError("not_a_token", f"number {number} of {len(tokens)}")
    target = deployment(stack)
    client = ApiClient(target.session, target.outputs["ApiUrl"])
    view = "full" if is_full else "masked"
    results = [
        result
        for start in range(0, len(tokens), TOKENS_PER_CALL)
        for result in client.detokenize(tokens[start : start + TOKENS_PER_CALL], purpose, view)
    ]
    if as_json:
        print_json(results)
    else:
        table(
            "card numbers",
            ("token", "card number", "error"),
            [
                (token, result["pan"], (result["error"] or {}).get("code"))
                for token, result in zip(tokens, results, strict=True)
            ],
        )
    if any(result["error"] for result in results):
        raise typer.Exit(1)
