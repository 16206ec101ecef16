"""Keys: which there are, new material, all data keys wrapped anew, a new fingerprint key."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any, Literal

import typer

from pipeline.cli import keepers
from pipeline.cli.output import (
    JsonFlag,
    StackOption,
    examples,
    facts,
    print_json,
    say,
    table,
)
from pipeline.cli.session import Deployment, deployment
from pipeline.core.keyring import GRACE, KeyRing
from pipeline.core.receipts import iso_time
from pipeline.model import Purpose
from pipeline.vault_care import rewrap as rewrapping
from pipeline.vault_care import succession
from pipeline.vault_care.passes import Progress
from pipeline.vault_care.reindex import Reindexing
from pipeline.vault_care.rewrap import Target, Targets

app = typer.Typer(
    help="Keys: what there is, new key material, data keys wrapped anew.", no_args_is_help=True
)
fingerprint_app = typer.Typer(
    help="A new fingerprint key, step by step: begin, wait, reindex, finish, retire.",
    no_args_is_help=True,
)
app.add_typer(fingerprint_app, name="fingerprint")

KEY_OUTPUTS: dict[Purpose, str] = {"vault": "VaultKeyArn", "fingerprint": "FingerprintKeyArn"}


@app.command("list", epilog=examples("pantok keys list", "pantok keys list --json"))
def list_keys(as_json: JsonFlag = False, stack: StackOption = None) -> None:
    """Lists the keys: how many data keys each wraps, and how many of those not at its newest."""
    target = deployment(stack)
    targets, store = _targets(target), keepers.key_store(target)
    counts: Counter[tuple[str, str, bool]] = Counter()
    for kept in store.all():
        is_current = rewrapping.is_current(kept, targets[kept.record.purpose])
        counts[kept.record.purpose, kept.record.key_arn, is_current] += 1
    keys = [
        {
            "purpose": purpose,
            "key_arn": arn,
            "rotated_at": _rotated_at(targets, purpose, arn),
            "data_keys": counts[purpose, arn, True] + counts[purpose, arn, False],
            "to_rewrap": counts[purpose, arn, False],
        }
        for purpose, arn in sorted({(purpose, arn) for purpose, arn, _ in counts})
    ]
    ring = store.key_ring()
    if as_json:
        print_json({"keys": keys, "fingerprint_key_ring": ring.as_json()})
        return
    table("keys", tuple(keys[0]) if keys else ("purpose",), [tuple(key.values()) for key in keys])
    _show_ring(ring)


@app.command(epilog=examples("pantok keys rotate vault", "pantok keys rotate all --yes"))
def rotate(
    which: Annotated[Literal["vault", "fingerprint", "all"], typer.Argument(metavar="KEY")],
    is_confirmed: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Gives a KMS key (vault, fingerprint or all) new material; what it wrapped still unwraps.

    KMS does this within minutes, and allows it 25 times in the life of a key. Then rewrap.
    """
    target = deployment(stack)
    wanted = [name for purpose, name in KEY_OUTPUTS.items() if which in (purpose, "all")]
    arns = [target.outputs[name] for name in wanted]
    if not is_confirmed:
        typer.confirm(f"New material for {', '.join(arns)}?", abort=True, err=True)
    for arn in arns:
        keepers.renewal(target).rotate(arn)
    if as_json:
        print_json({"rotated": arns})
    say("`pantok keys list` shows when it is done; then `pantok keys rewrap`.")


@app.command(
    epilog=examples(
        "pantok keys rewrap --dry-run", "pantok keys rewrap", "pantok keys rewrap --json"
    )
)
def rewrap(
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be wrapped anew, and do nothing.")
    ] = False,
    vault_key_arn: Annotated[
        str | None,
        typer.Option("--to", metavar="ARN", help="Another key for the vault's data keys."),
    ] = None,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Wraps all data keys anew inside of KMS, under the newest material of their keys.

    No card is touched: it takes as many calls as there are data keys. Cut off, it goes on where it
    was when it is run again; two runs at a time do no harm.
    """
    target = deployment(stack)
    targets, store = _targets(target, vault_key_arn), keepers.key_store(target)
    if is_dry_run:
        report = rewrapping.plan(store, targets)
    else:
        with keepers.shown("data keys") as on_count:
            report = rewrapping.rewrap(
                store, keepers.renewal(target), targets, keepers.utc_now, lambda: on_count(1)
            )
    document = {"dry_run": is_dry_run, **asdict(report)}
    print_json(document) if as_json else facts("data keys", _spaced(document))


@fingerprint_app.command(epilog=examples("pantok keys fingerprint begin --yes"))
def begin(
    is_confirmed: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Puts a new version of the fingerprint key beside the current one."""
    target = deployment(stack)
    if not is_confirmed:
        typer.confirm("A new version of the fingerprint key?", abort=True, err=True)
    ring = succession.begin(
        keepers.key_store(target),
        keepers.renewal(target),
        target.outputs["FingerprintKeyArn"],
        keepers.utc_now(),
    )
    _answer(ring, as_json=as_json)
    say(f"In {GRACE} every worker knows it; then `pantok keys fingerprint reindex`.")


@fingerprint_app.command(epilog=examples("pantok keys fingerprint reindex"))
def reindex(
    progress: keepers.ProgressOption = keepers.PROGRESS_FOLDER,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Opens every row of the vault and claims its token under the new version too."""
    target = deployment(stack)
    folder = keepers.progress_folder(progress, target, "reindex")
    with keepers.shown("rows") as on_page:
        counts = Reindexing(
            keepers.vault(target),
            keepers.fingerprints(target),
            keepers.key_store(target),
            keepers.key_service(target),
            keepers.utc_now,
            Progress(folder),
            on_page,
        ).run()
    print_json(vars(counts)) if as_json else facts("re-indexed", _spaced(vars(counts)))


@fingerprint_app.command(epilog=examples("pantok keys fingerprint finish"))
def finish(as_json: JsonFlag = False, stack: StackOption = None) -> None:
    """Leaves the new version of the fingerprint key alone."""
    store = keepers.key_store(deployment(stack))
    _answer(succession.finish(store, keepers.utc_now()), as_json=as_json)
    say(f"In {GRACE}: `pantok keys fingerprint retire`, `pantok vault audit --remove-orphans`.")


@fingerprint_app.command(epilog=examples("pantok keys fingerprint retire"))
def retire(as_json: JsonFlag = False, stack: StackOption = None) -> None:
    """Destroys the wrapped fingerprint keys of versions that nobody uses any more."""
    store = keepers.key_store(deployment(stack))
    destroyed = succession.destroy_retired(store, keepers.utc_now())
    if as_json:
        print_json({"destroyed": destroyed})
    else:
        table("destroyed", ("data key",), [(each,) for each in destroyed])


def _targets(target: Deployment, vault_key_arn: str | None = None) -> Targets:
    arns = {purpose: target.outputs[name] for purpose, name in KEY_OUTPUTS.items()}
    if vault_key_arn is not None:
        arns["vault"] = vault_key_arn
    renewal = keepers.renewal(target)
    return {purpose: Target(arn, renewal.rotated_at(arn)) for purpose, arn in arns.items()}


def _rotated_at(targets: Targets, purpose: Any, arn: str) -> str | None:
    """When the key was rotated last; of a key that is not the target, nothing is asked."""
    target = targets[purpose]
    if target.key_arn != arn or target.rotated_at is None:
        return None
    return iso_time(target.rotated_at)


def _answer(ring: KeyRing, *, as_json: bool) -> None:
    if as_json:
        print_json(ring.as_json())
    else:
        _show_ring(ring)


def _show_ring(ring: KeyRing) -> None:
    closed = [
        f"{name}: {scope.state}, shredded from {scope.shred_from} on"
        for name, scope in ring.scopes.items()
    ]
    facts(
        "fingerprint key",
        {
            "versions in use": ", ".join(map(str, ring.versions)),
            "changed at": ring.changed_at,
            "re-indexed from": ring.reindexed_from,
            "closed scopes": "\n".join(closed),
        },
    )


def _spaced(document: dict[str, Any]) -> dict[str, object]:
    return {name.replace("_", " "): value for name, value in document.items()}
