"""The vault: checked, cards forgotten, whole scopes destroyed."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from pipeline.cli import keepers
from pipeline.cli.output import JsonFlag, StackOption, examples, facts, print_json, say, table
from pipeline.cli.session import Deployment, deployment
from pipeline.core.envelope import TOKEN_PATTERN
from pipeline.core.keyring import DEFAULT_SHRED_WAIT
from pipeline.vault_care import shred as shredding
from pipeline.vault_care.audit import DEFAULT_ORPHAN_AGE, Audit
from pipeline.vault_care.forget import Forgetting
from pipeline.vault_care.passes import Progress

app = typer.Typer(
    help="The vault: check it, forget cards, destroy a whole scope.", no_args_is_help=True
)

PurposeOption = Annotated[
    str,
    typer.Option(
        "--purpose",
        parser=keepers.without_pans,
        metavar="TEXT",
        help="Why; it is kept with the token, for ever.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command(
    epilog=examples(
        "pantok vault audit",
        "pantok vault audit --samples 0",
        "pantok vault audit --remove-orphans",
    )
)
def audit(
    samples: Annotated[
        int, typer.Option(min=0, max=10_000, help="How many rows to open; needs leave to decrypt.")
    ] = 20,
    removes_orphans: Annotated[
        bool,
        typer.Option(
            "--remove-orphans",
            help="Remove rows that no fingerprint leads to, what shredding left, and fingerprints "
            "of retired keys.",
        ),
    ] = False,
    removes_dangling: Annotated[
        bool,
        typer.Option("--remove-dangling", help="Remove fingerprints that lead to no row."),
    ] = False,
    older_than: Annotated[
        timedelta,
        typer.Option(
            parser=keepers.age,
            metavar="AGE",
            show_default="1d",
            help="Judge only rows older than that.",
        ),
    ] = DEFAULT_ORPHAN_AGE,
    progress: keepers.ProgressOption = keepers.PROGRESS_FOLDER,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Holds the vault against its fingerprints and data keys; exits with 1 when it is not sound."""
    target = deployment(stack)
    key_service = keepers.key_service(target) if samples or removes_orphans else None
    with keepers.shown("rows and fingerprints") as on_page:
        report = Audit(
            keepers.vault(target),
            keepers.fingerprints(target),
            keepers.key_store(target),
            keepers.utc_now,
            keepers.progress_folder(progress, target, "audit"),
            older_than,
            on_page,
            on_page,
        ).run(
            samples,
            key_service,
            removes_orphans=removes_orphans,
            removes_dangling=removes_dangling,
        )
    document = {"is_sound": report.is_sound, **asdict(report)}
    if as_json:
        print_json(document)
    else:
        facts("vault", {name.replace("_", " "): value for name, value in document.items()})
    if not report.is_sound:
        raise typer.Exit(1)


@app.command(epilog=examples("pantok vault forget tok_… --purpose 'erasure request 4711'"))
def forget(
    tokens: Annotated[list[str], typer.Argument(metavar="TOKEN…")],
    purpose: PurposeOption,
    is_confirmed: YesOption = False,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Destroys cards, record and fingerprint; that it was done, by whom and why is kept."""
    for at, token in enumerate(tokens, start=1):
        if not TOKEN_PATTERN.fullmatch(token):
            raise typer.BadParameter(f"number {at} is no token")
    target = deployment(stack)
    if not is_confirmed:
        typer.confirm(f"Destroy {len(tokens)} cards for ever?", abort=True, err=True)
    forgotten = _forgetting(target, purpose).forget(tokens)
    if as_json:
        print_json([asdict(each) for each in forgotten])
        return
    rows = [(each.token, each.purpose, each.principal, each.at) for each in forgotten]
    table("forgotten", ("token", "purpose", "by", "at"), rows)


@app.command(epilog=examples("pantok vault expire --scope shop --older-than 400d --dry-run"))
def expire(
    scope: Annotated[
        str, typer.Option(parser=keepers.scope_name, metavar="SCOPE", help="Only its cards.")
    ],
    older_than: Annotated[
        timedelta, typer.Option(parser=keepers.age, metavar="AGE", help="First seen longer ago.")
    ],
    purpose: PurposeOption = "retention",
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many, and destroy nothing.")
    ] = False,
    is_confirmed: YesOption = False,
    progress: keepers.ProgressOption = keepers.PROGRESS_FOLDER,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Forgets all cards of a scope that are older than its retention allows."""
    target = deployment(stack)
    if not is_dry_run and not is_confirmed:
        typer.confirm(f"Destroy all cards of {scope} that old?", abort=True, err=True)
    folder = keepers.progress_folder(progress, target, "look" if is_dry_run else "expire")
    rows = forgotten = 0
    with keepers.shown("rows") as on_page:
        for seen, old in _forgetting(target, purpose).expire(
            scope, older_than, Progress(folder), is_dry_run=is_dry_run
        ):
            rows, forgotten = rows + seen, forgotten + old
            on_page(seen)
    document = {"dry_run": is_dry_run, "scope": scope, "rows_seen": rows, "expired": forgotten}
    print_json(document) if as_json else facts("expired", document)


@app.command(
    epilog=examples(
        "pantok vault shred shop --confirm shop",
        "pantok vault shred shop --cancel",
        "pantok vault shred shop --execute --confirm shop",
    )
)
def shred(
    scope: Annotated[str, typer.Argument(metavar="SCOPE", parser=keepers.scope_name)],
    confirmation: Annotated[
        str, typer.Option("--confirm", metavar="SCOPE", help="The scope once more.")
    ] = "",
    is_executed: Annotated[
        bool, typer.Option("--execute", help="Destroy the keys of a scope that was closed.")
    ] = False,
    is_cancelled: Annotated[
        bool, typer.Option("--cancel", help="Open a scope that was closed.")
    ] = False,
    wait: Annotated[
        timedelta,
        typer.Option(
            parser=keepers.age, metavar="AGE", show_default="7d", help="How long to wait."
        ),
    ] = DEFAULT_SHRED_WAIT,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Destroys a whole scope by destroying its data keys, in two steps with a wait between them.

    The first closes the scope: nothing is tokenized in it any more, and its tokens still open. The
    second, with --execute, destroys the keys; no token of the scope ever opens again.
    """
    store, now = keepers.key_store(deployment(stack)), keepers.utc_now()
    document: dict[str, object] = {"scope": scope}
    if is_cancelled:
        shredding.reopen(store, scope)
        document |= {"state": "open"}
    else:
        document |= asdict(shredding.figures(store, scope))
        if confirmation != scope:
            facts("would be destroyed", document)
            raise typer.BadParameter("name the scope once more with --confirm")
        if is_executed:
            document |= {"destroyed": shredding.shred(store, scope, now), "state": "shredded"}
        else:
            document |= asdict(shredding.close(store, scope, now, wait))
    print_json(document) if as_json else facts("scope", document)
    if is_executed:
        say("Wrapped keys stay in point-in-time recovery for up to 35 days: docs/keys.md.")


def _forgetting(target: Deployment, purpose: str) -> Forgetting:
    return Forgetting(
        keepers.vault(target),
        keepers.fingerprints(target),
        keepers.key_store(target),
        keepers.key_service(target),
        keepers.trail(target),
        keepers.utc_now,
        keepers.principal(target),
        purpose,
    )
