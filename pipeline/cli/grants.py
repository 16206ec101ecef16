"""Who may see card numbers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.aws.dynamodb_access import DynamoDBGrants, DynamoDBUsages
from pipeline.aws.session import utc_now
from pipeline.cli.output import JsonFlag, StackOption, examples, print_json, say, table
from pipeline.cli.session import Deployment, deployment
from pipeline.core.grants import Grants, parse_grants
from pipeline.core.limits import forgiven
from pipeline.core.receipts import iso_time

app = typer.Typer(
    help="Who may see card numbers: nobody, until a grant says so.",
    epilog=examples("pantok grants show", "pantok grants set grants.toml"),
    no_args_is_help=True,
)

LOCKABLE = ("reading", "bulk")  # what unknown tokens are counted for

DocumentArgument = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A grants document.")
]


@app.command(epilog=examples("pantok grants show", "pantok grants show --toml > grants.toml"))
def show(
    as_toml: Annotated[bool, typer.Option("--toml", help="The document as it was set.")] = False,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Shows the grants of a deployment."""
    document = _document(deployment(stack)).read()
    if as_toml:
        sys.stdout.write(document.decode())
        return
    grants = parse_grants(document)
    if as_json:
        print_json(grants.model_dump(mode="json")["grants"])
    else:
        _show(grants)


@app.command("set", epilog=examples("pantok grants set grants.toml"))
def set_(file: DocumentArgument, stack: StackOption = None) -> None:
    """Checks a grants document and puts it in the place of the one before."""
    _show(set_grants(deployment(stack), file))
    say("in force within 30 seconds")


@app.command(epilog=examples("pantok grants check grants.toml"))
def check(file: DocumentArgument) -> None:
    """Checks a grants document and sets nothing."""
    _show(parse_grants(file.read_bytes()))


@app.command(epilog=examples("pantok grants unlock arn:aws:iam::111122223333:role/chargebacks"))
def unlock(
    principal: Annotated[str, typer.Argument(help="The caller's ARN, as the record has it.")],
    stack: StackOption = None,
) -> None:
    """Lets a caller in again that was locked for unknown tokens, which are counted anew."""
    target = deployment(stack)
    usages = DynamoDBUsages(target.client("dynamodb"), target.outputs["LimitsTable"])
    if not [kind for kind in LOCKABLE if _unlocked(usages, f"{kind}|{principal}")]:
        say("that caller has not called")
        raise typer.Exit(1)
    say("unlocked")


def set_grants(target: Deployment, file: Path) -> Grants:
    """Checks a grants document, sets it and gives it back; raises what `parse_grants` raises."""
    document = file.read_bytes()
    grants = parse_grants(document)
    _document(target).write(document.decode(), iso_time(utc_now()))
    return grants


def _unlocked(usages: DynamoDBUsages, counter: str) -> bool:
    usage = usages.get(counter)
    if usage is None:
        return False
    usages.replace(counter, usage, forgiven(usage))
    return True


def _document(target: Deployment) -> DynamoDBGrants:
    return DynamoDBGrants(target.client("dynamodb"), target.outputs["GrantsTable"])


def _show(grants: Grants) -> None:
    table(
        "grants" if grants.grants else "nobody may do anything",
        ("name", "who", "may", "scopes", "for", "view", "per minute", "per day"),
        [
            (
                each.name,
                "\n".join(each.principals),
                ", ".join(each.actions),
                ", ".join(each.scopes),
                ", ".join(each.purposes),
                each.view if "detokenize" in each.actions else "",
                each.per_minute,
                each.per_day,
            )
            for each in grants.grants
        ],
    )
