"""`pantok`: the command line."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from pipeline import __version__
from pipeline.cli import (
    api,
    bulk,
    demo,
    detokenize,
    dlq,
    generate,
    grants,
    inspect,
    jobs,
    keys,
    layouts,
    loadtest,
    local,
    query,
    rejects,
    scan,
    trace,
    uploads,
    vault,
)
from pipeline.cli.edge import card_among, clean_messages, in_words
from pipeline.cli.output import examples, say
from pipeline.errors import LayoutError, PantokError
from pipeline.local import LocalStackError

app = typer.Typer(
    name="pantok",
    help="Card numbers in, tokens out: settlement files tokenized in your own AWS account.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks print local variables
    rich_markup_mode=None,
    epilog=examples("pantok demo", "pantok upload settlement.csv --layout card-present --wait"),
)


def _version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"pantok {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command(epilog=uploads.EXAMPLES)(uploads.upload)
app.command(epilog=examples("pantok jobs --watch", "pantok jobs --limit 5 --json"))(jobs.jobs)
app.command(epilog=examples("pantok receipt job_6tok5sahhchio7bet4erbxqbfi"))(jobs.receipt)
app.command(epilog=inspect.EXAMPLES)(inspect.inspect)
app.command(epilog=query.EXAMPLES)(query.query)
app.command(epilog=scan.EXAMPLES)(scan.scan)
app.command(epilog=generate.EXAMPLES)(generate.generate)
app.command(epilog=loadtest.EXAMPLES)(loadtest.loadtest)
app.command(epilog=examples("pantok demo", "pantok demo --keep"))(demo.demo)
app.command(epilog=detokenize.EXAMPLES)(detokenize.detokenize)
app.command(epilog=trace.EXAMPLES)(trace.trace)
app.add_typer(grants.app, name="grants")
app.add_typer(bulk.app, name="bulk")
app.add_typer(api.app, name="api")
app.add_typer(dlq.app, name="dlq")
app.add_typer(rejects.app, name="rejects")
app.add_typer(layouts.app, name="layouts")
app.add_typer(keys.app, name="keys")
app.add_typer(vault.app, name="vault")
app.add_typer(local.app, name="local")


def main() -> None:
    """Runs a command; 0 done, 1 failed, 2 wrong usage. No card number is in any message."""
    with clean_messages():
        if at := card_among(sys.argv[1:]):
            _complain(f"argument {at} holds a card number: pantok takes none on its command line")
            sys.exit(2)
        _run()


def _run() -> None:
    try:
        app(prog_name="pantok")
    except LayoutError as error:
        _complain("\n  ".join(["the layout cannot be used:", *error.mistakes]))
    except (PantokError, LocalStackError) as error:
        _complain(str(error))
    except ClientError as error:
        _complain(f"AWS refused {error.operation_name}: {error.response['Error']['Code']}")
    except BotoCoreError as error:
        _complain(f"AWS cannot be reached ({type(error).__name__})")
    except Exception as error:  # noqa: BLE001 - the edge
        _complain(in_words(error))
    else:
        return
    sys.exit(1)


def _complain(text: str) -> None:
    say(text, style="bold red")
