"""Tokens back to card numbers, through the API like everybody else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.aws.api_client import ApiClient
from pipeline.cli.bulk import detokenize_file
from pipeline.cli.output import JsonFlag, StackOption, examples, print_json, say, table
from pipeline.cli.session import deployment
from pipeline.core.envelope import TOKEN_PATTERN
from pipeline.errors import PermanentError

TOKENS_PER_CALL = 100

EXAMPLES = examples(
    "pantok detokenize tok_by5cez5exunp6atmttkpb2sw6m --purpose chargeback",
    "pantok detokenize tok_by5cez5exunp6atmttkpb2sw6m --purpose chargeback --full --json",
    "pantok detokenize --file tokens.txt --purpose chargeback --public-key me.pub.pem"
    " --output result.sealed --wait 30",
)

PurposeOption = Annotated[
    str, typer.Option("--purpose", help="What for: it must be granted, and is recorded.")
]


def detokenize(
    purpose: PurposeOption,
    tokens: Annotated[list[str] | None, typer.Argument(metavar="TOKEN…", help="Tokens.")] = None,
    is_full: Annotated[
        bool, typer.Option("--full", help="The whole card number, if that is granted.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A whole file of tokens, one in each line."),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="With --file: whom to seal to (X25519)."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="With --file: the sealed result.")
    ] = None,
    wait: Annotated[int, typer.Option(min=0, help="Minutes to wait for an approval.")] = 0,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Shows the card numbers behind tokens, masked unless the whole is asked for.

    A whole file needs somebody else's approval, and its result is sealed to your public key.
    """
    if file is None:
        _few(tokens or [], purpose, "full" if is_full else "masked", as_json, stack)
        return
    if tokens or public_key is None or output is None:
        raise typer.BadParameter("--file goes with --public-key and --output, and without tokens")
    job = detokenize_file(deployment(stack), file, purpose, public_key, output, wait * 60)
    if as_json:
        print_json({"job_id": job.job_id, "rows": int(job.rows), "output": str(output)})
    else:
        say(f"opened and sealed: pantok bulk unseal {output} --private-key … --output cards.csv")


def _few(tokens: list[str], purpose: str, view: str, as_json: bool, stack: str | None) -> None:
    if not tokens:
        raise typer.BadParameter("name a token, or a --file of them")
    for number, token in enumerate(tokens, start=1):
        if not TOKEN_PATTERN.fullmatch(token):  # it may be a card number: it is not sent
            raise PermanentError("not_a_token", f"number {number} of {len(tokens)}")
    target = deployment(stack)
    client = ApiClient(target.session, target.outputs["ApiUrl"])
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
