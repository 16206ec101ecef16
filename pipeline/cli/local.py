"""The local stack: the real template on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.output import JsonFlag, examples, facts, print_json, say, screen
from pipeline.local import LocalStack, default_state_dir
from pipeline.local import down as end_stack
from pipeline.local import status as look_at_stack
from pipeline.local import up as start_stack

app = typer.Typer(
    help="The local stack: the same template as on AWS, on 127.0.0.1.", no_args_is_help=True
)


@app.command(epilog=examples("pantok local up"))
def up(as_json: JsonFlag = False) -> None:
    """Starts the local stack and deploys the template; harmless when it runs."""
    stack = start_stack(default_state_dir(), report=say)
    if as_json:
        print_json(_description(stack))
    else:
        facts("local stack", {"endpoint": stack.endpoint_url, **stack.outputs})


@app.command(epilog=examples("pantok local down", "pantok local down --discard"))
def down(
    discard: Annotated[
        bool, typer.Option("--discard", help="Forget the data too, instead of keeping it.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Ends the local stack, and nothing else; the next `up` finds its data again."""
    stopped = end_stack(default_state_dir(), report=say, keep_data=not discard)
    if as_json:
        print_json({"was_running": stopped.was_running, "kept_data": stopped.kept_data})
    else:
        screen.print("stopped" if stopped.was_running else "it was not running")


@app.command(epilog=examples("pantok local status", "pantok local status --json"))
def status(as_json: JsonFlag = False) -> None:
    """Says whether the local stack runs, and how its services are."""
    found = look_at_stack(default_state_dir())
    if as_json:
        stack = _description(found.stack) if found.stack else None
        print_json({"state": found.state, "services": found.services, "stack": stack})
    else:
        pairs: dict[str, object] = {"state": found.state}
        if found.stack:
            pairs |= {"endpoint": found.stack.endpoint_url, "log": str(found.stack.log_path)}
        facts("local stack", pairs | dict(found.services))
    if found.state != "running":
        raise typer.Exit(1)


def _description(stack: LocalStack) -> dict[str, object]:
    return {
        "endpoint_url": stack.endpoint_url,
        "pid": stack.pid,
        "started_at": stack.started_at,
        "log_path": str(stack.log_path),
        "outputs": dict(stack.outputs),
    }
