"""Dead letters: look, understand, repair the cause, replay."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from pipeline.aws.sqs_queue import DeadLetter
from pipeline.cli.output import JsonFlag, StackOption, examples, facts, print_json, say, table
from pipeline.cli.session import deployment
from pipeline.core.reasons import of_letter
from pipeline.errors import PermanentError

app = typer.Typer(
    help="Dead letters: messages that could not be worked off, each with its reason.",
    no_args_is_help=True,
)

_AGE = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _age(text: str) -> timedelta:
    match = _AGE.fullmatch(text)
    if match is None:
        raise typer.BadParameter("an age is a number and s, m, h or d: 90s, 30m, 2h, 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


ReasonOption = Annotated[str | None, typer.Option(help="Only letters with this reason.")]
LayoutOption = Annotated[str | None, typer.Option(help="Only letters of files of this layout.")]
OlderOption = Annotated[
    timedelta | None,
    typer.Option(parser=_age, metavar="AGE", help="Only what failed longer ago: 2h, 7d."),
]
NewerOption = Annotated[
    timedelta | None,
    typer.Option(parser=_age, metavar="AGE", help="Only what failed since: 30m, 1d."),
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters a command is about."""

    reason: str | None
    layout: str | None
    older_than: timedelta | None
    newer_than: timedelta | None

    @property
    def is_anything(self) -> bool:
        """Whether no filter was given."""
        return self == Wanted(None, None, None, None)

    def among(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """The letters that all filters let through."""
        now = datetime.now(UTC)
        return [each for each in letters if self._fits(each, now)]

    def _fits(self, each: DeadLetter, now: datetime) -> bool:
        age = now - datetime.fromisoformat(each.letter["failed_at"])
        return (
            self.reason in (None, each.letter["reason"])
            and self.layout in (None, each.letter["layout"])
            and (self.older_than is None or age > self.older_than)
            and (self.newer_than is None or age < self.newer_than)
        )


@app.command(
    "list",
    epilog=examples(
        "pantok dlq list",
        "pantok dlq list --reason unknown_layout --json",
        "pantok dlq list --layout acme --newer-than 1d",
    ),
)
def list_letters(
    reason: ReasonOption = None,
    layout: LayoutOption = None,
    older_than: OlderOption = None,
    newer_than: NewerOption = None,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Lists dead letters."""
    with deployment(stack).dead_letters.letters() as held:
        found = Wanted(reason, layout, older_than, newer_than).among(held)
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
    known = of_letter(letter.letter["reason"])
    facts(
        f"dead letter {letter.message_id}",
        {
            "reason": letter.letter["reason"],
            "means": known.means if known else None,
            "what to do": known.remedy if known else None,
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
        "pantok dlq replay --reason unknown_layout --layout acme",
        "pantok dlq replay --older-than 2h --dry-run",
        "pantok dlq replay --all",
    )
)
def replay(
    letter_ids: Annotated[list[str] | None, typer.Argument(metavar="ID…")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every letter.")] = False,
    reason: ReasonOption = None,
    layout: LayoutOption = None,
    older_than: OlderOption = None,
    newer_than: NewerOption = None,
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be replayed, and send nothing.")
    ] = False,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Sends dead letters' messages to the work queue again."""
    wanted = Wanted(reason, layout, older_than, newer_than)
    if not letter_ids and not everything and wanted.is_anything:
        raise typer.BadParameter("name letters, or give --all or a filter")
    replayed, left = [], []
    office = deployment(stack).dead_letters
    with office.letters() as held:
        chosen = wanted.among(_chosen(held, letter_ids) if letter_ids else held)
        for letter in chosen:
            if letter.replayable is None:
                left.append(letter)
            else:
                if not is_dry_run:
                    office.replay(letter)
                replayed.append(letter)
    if as_json:
        print_json(
            {
                "dry_run": is_dry_run,
                "replayed": [{"id": each.message_id, **each.letter} for each in replayed],
                "not_replayable": [each.message_id for each in left],
            }
        )
    else:
        table(
            "would be replayed" if is_dry_run else "replayed",
            ("id", "reason", "layout"),
            [(each.message_id, each.letter["reason"], each.letter["layout"]) for each in replayed],
        )
    if left:
        say(f"{len(left)} letters do not hold their message: upload those files again.")
        raise typer.Exit(1)


def _chosen(letters: Sequence[DeadLetter], wanted: Sequence[str]) -> list[DeadLetter]:
    """The letters of these ids, or of ids that begin like that."""
    found = [each for each in letters if any(each.message_id.startswith(name) for name in wanted)]
    for name in wanted:
        if not any(each.message_id.startswith(name) for each in found):
            raise PermanentError("no_such_letter", f"{name}: see `pantok dlq list`")
    return found
