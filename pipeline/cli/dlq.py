"""Dead letters: look, understand, repair the cause, replay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from pipeline.aws.sqs_queue import DeadLetter
from pipeline.cli.output import JsonFlag, StackOption, examples, facts, print_json, say, table
from pipeline.cli.session import deployment
from pipeline.errors import PermanentError

app = typer.Typer(
    help="Dead letters: messages that could not be worked off, each with its reason.",
    no_args_is_help=True,
)

ReasonOption = Annotated[str | None, typer.Option(help="Only letters with this reason.")]


@app.command(
    "list", epilog=examples("pantok dlq list", "pantok dlq list --reason unknown_layout --json")
)
def list_letters(
    reason: ReasonOption = None, as_json: JsonFlag = False, stack: StackOption = None
) -> None:
    """Lists dead letters."""
    with deployment(stack).dead_letters.letters() as held:
        found = _with_reason(held, reason)
    if as_json:
        print_json([{"id": each.message_id, **each.letter} for each in found])
        return
    table(
        "dead letters",
        ("id", "reason", "layout", "attempts", "failed at", "replay"),
        [
            (
                each.message_id,
                each.letter["reason"],
                each.letter["layout"],
                each.letter["attempts"],
                each.letter["failed_at"],
                each.replayable is not None,
            )
            for each in found
        ],
    )
    if found:
        say("`pantok dlq show ID` says more; repair the cause, then `pantok dlq replay ID`.")


@app.command(epilog=examples("pantok dlq show f2169e48"))
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As `pantok dlq list` shows it.")],
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Shows a dead letter."""
    with deployment(stack).dead_letters.letters() as held:
        letter = _chosen(held, [letter_id])[0]
    if as_json:
        print_json({"id": letter.message_id, **letter.letter})
        return
    source = letter.letter["source"] or {}
    facts(
        f"dead letter {letter.message_id}",
        {
            "reason": letter.letter["reason"],
            "detail": letter.letter["detail"],
            "file": source.get("uri"),
            "version": source.get("version_id"),
            "layout": letter.letter["layout"],
            "job": letter.letter["job_id"],
            "attempts": letter.letter["attempts"],
            "failed at": letter.letter["failed_at"],
            "can be replayed": letter.replayable is not None,
        },
    )


@app.command(
    epilog=examples(
        "pantok dlq replay f2169e48",
        "pantok dlq replay --reason unknown_layout",
        "pantok dlq replay --all",
    )
)
def replay(
    letter_ids: Annotated[list[str] | None, typer.Argument(metavar="ID…")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every letter.")] = False,
    reason: ReasonOption = None,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Sends dead letters' messages to the work queue again."""
    if not letter_ids and not everything and reason is None:
        raise typer.BadParameter("name letters, or give --all or --reason")
    replayed, left = [], []
    office = deployment(stack).dead_letters
    with office.letters() as held:
        chosen = _with_reason(_chosen(held, letter_ids) if letter_ids else held, reason)
        for letter in chosen:
            if letter.replayable is None:
                left.append(letter)
            else:
                office.replay(letter)
                replayed.append(letter)
    if as_json:
        print_json(
            {
                "replayed": [{"id": each.message_id, **each.letter} for each in replayed],
                "not_replayable": [each.message_id for each in left],
            }
        )
    else:
        table(
            "replayed",
            ("id", "reason"),
            [(each.message_id, each.letter["reason"]) for each in replayed],
        )
    if left:
        say(f"{len(left)} letters do not hold their message: upload those files again.")
        raise typer.Exit(1)


def _with_reason(letters: Sequence[DeadLetter], reason: str | None) -> list[DeadLetter]:
    return [each for each in letters if reason is None or each.letter["reason"] == reason]


def _chosen(letters: Sequence[DeadLetter], wanted: Sequence[str]) -> list[DeadLetter]:
    """The letters of these ids, or of ids that begin like that."""
    found = [each for each in letters if any(each.message_id.startswith(name) for name in wanted)]
    for name in wanted:
        if not any(each.message_id.startswith(name) for each in found):
            raise PermanentError("no_such_letter", f"{name}: see `pantok dlq list`")
    return found
