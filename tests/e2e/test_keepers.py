"""Keys and vault in their keepers' hands, on the local stack, by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import keepers
from pipeline.core.keyring import GRACE
from pipeline.errors import PermanentError
from pipeline.keys import unwrapped_fingerprinter
from pipeline.local import LocalStack, down, up
from pipeline.samples.cards import synthetic_pans
from pipeline.vault_care.passes import Pass, Progress
from pipeline.vault_care.reindex import Reindexing
from tests.e2e.operator import Operator

pytestmark = pytest.mark.e2e

CARDS = synthetic_pans(30, seed=71)
LAYOUT = 'name = "{0}"\nscope = "{0}"\n[columns.card]\nrole = "pan"\n'


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Its tables are audited and its keys replaced, so nobody else's rows may be there."""
    state_dir = tmp_path_factory.mktemp("keepers-stack")
    yield up(state_dir, report=lambda _: None)
    down(state_dir, report=lambda _: None, keep_data=False)


@pytest.fixture(scope="module")
def operator(own_stack: LocalStack) -> Operator:
    operator = Operator(own_stack)
    for name in ("kept", "shredded"):
        operator.add_layout(name, LAYOUT.format(name))
    return operator


def _tokens(operator: Operator, folder: Path, layout: str) -> list[str]:
    file = folder / f"{layout}.csv"
    file.write_text("\n".join(["card", *CARDS]) + "\n")
    receipt = operator.tokenize(file, layout)
    assert receipt["status"] == "committed"
    tokens: list[str] = operator.output(receipt)["card_token"].to_pylist()
    return tokens


def _pantok(operator: Operator, folder: Path, *arguments: str, code: int = 0) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", "from pipeline.cli.main import main; main()", *arguments],
        env={"PANTOK_LOCAL_DIR": str(operator.stack.state_dir), "PATH": os.environ["PATH"]},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not any(pan in done.stdout + done.stderr for pan in CARDS)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stderr


def test_cards_are_audited_forgotten_and_shredded(operator: Operator, tmp_path: Path) -> None:
    kept = _tokens(operator, tmp_path, "kept")
    shredded = _tokens(operator, tmp_path, "shredded")
    report = _pantok(operator, tmp_path, "vault", "audit", "--json")
    assert report["is_sound"]
    assert report["rows"] == report["fingerprints_by_version"]["1"] == report["recent"] >= 60
    assert (report["orphans"], report["samples_opened"]) == (0, 20)

    forget = ("vault", "forget", kept[0], "--purpose", "request 4711", "--yes", "--json")
    (entry,) = _pantok(operator, tmp_path, *forget)
    assert (entry["token"], entry["purpose"]) == (kept[0], "request 4711")
    assert entry["principal"].startswith("arn:aws:")
    assert _pantok(operator, tmp_path, *forget) == [entry]
    with pytest.raises(PermanentError, match="unknown_token"):
        operator.open([kept[0]])
    again = _tokens(operator, tmp_path, "kept")
    assert (again[0] != kept[0], again[1:]) == (True, kept[1:])

    asked = _pantok(operator, tmp_path, "vault", "shred", "shredded", code=2)
    assert "--confirm" in asked
    confirmed = ("vault", "shred", "shredded", "--confirm", "shredded", "--json")
    assert _pantok(operator, tmp_path, *confirmed)["state"] == "closed"
    assert "too_early" in _pantok(operator, tmp_path, *confirmed, "--execute", code=1)
    listed = _pantok(operator, tmp_path, "keys", "list", "--json")
    assert listed["fingerprint_key_ring"]["scopes"]["shredded"]["state"] == "closed"
    assert operator.open(shredded) == CARDS
    reopened = _pantok(operator, tmp_path, "vault", "shred", "shredded", "--cancel", "--json")
    assert reopened == {"scope": "shredded", "state": "open"}
    assert _pantok(operator, tmp_path, "vault", "audit", "--json")["dangling"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["vault", "forget", CARDS[0], "--purpose", "x", "--yes"],
        ["vault", "forget", "tok_" + "a" * 26, "--purpose", f"card {CARDS[0]}", "--yes"],
        ["vault", "shred", "UPPER"],
        ["vault", "expire", "--scope", "kept", "--older-than", "soon"],
    ],
)
def test_wrong_usage_is_told_without_what_was_typed(
    operator: Operator, tmp_path: Path, arguments: list[str]
) -> None:
    _pantok(operator, tmp_path, *arguments, code=2)


@pytest.fixture
def own_ring(operator: Operator) -> Iterator[None]:
    """The stack is shared: what is done to its key ring is undone."""
    yield
    for data_key_id in ("fingerprint-ring", "fingerprint-2"):
        operator.stack.client("dynamodb").delete_item(
            TableName=operator.stack.outputs["DataKeysTable"],
            Key={"data_key_id": {"S": data_key_id}},
        )
    store = keepers.fingerprints(operator.target)
    for claims in Pass(store.page, Progress(), "undo").pages():
        for claim in claims:
            if claim.fingerprint[0] == 2:
                store.destroy(claim)


def test_a_fingerprint_key_succeeds_another_and_is_not_hurried(
    operator: Operator, tmp_path: Path, own_ring: None
) -> None:
    tokens = _tokens(operator, tmp_path, "kept")
    listed = _pantok(operator, tmp_path, "keys", "list", "--json")
    assert {key["purpose"] for key in listed["keys"]} == {"fingerprint", "vault"}
    planned = _pantok(operator, tmp_path, "keys", "rewrap", "--dry-run", "--json")
    assert (planned["dry_run"], planned["to_do"]) == (True, 0)
    finish = ("keys", "fingerprint", "finish")
    assert "no_succession" in _pantok(operator, tmp_path, *finish, code=1)
    begun = _pantok(operator, tmp_path, "keys", "fingerprint", "begin", "--yes", "--json")
    assert begun["versions"] == [1, 2]
    reindex = ("keys", "fingerprint", "reindex")
    assert "too_early" in _pantok(operator, tmp_path, *reindex, code=1)
    assert "not_reindexed" in _pantok(operator, tmp_path, *finish, code=1)

    target, later = operator.target, datetime.now(UTC) + GRACE + timedelta(minutes=1)
    store, service = keepers.key_store(target), keepers.key_service(target)
    fingerprints = keepers.fingerprints(target)
    counts = Reindexing(
        keepers.vault(target), fingerprints, store, service, lambda: later, Progress()
    ).run()
    assert counts.claimed >= len(CARDS)
    assert (counts.unreadable, counts.differing) == (0, 0)
    assert _pantok(operator, tmp_path, *finish, "--json")["versions"] == [2]
    known = unwrapped_fingerprinter(service, store).fingerprints(
        [pan.encode() for pan in CARDS], "kept"
    )
    assert {each[0] for each in known} == {2}
    held = fingerprints.held(known)
    assert [held[each] for each in known] == tokens


def test_tables_that_were_lost_are_restored_and_every_token_is_as_it_was(
    operator: Operator, tmp_path: Path
) -> None:
    """The rehearsal of docs/runbook-restore.md, its copies made by scans."""
    tokens = _tokens(operator, tmp_path, "kept")
    dynamodb, outputs = operator.stack.client("dynamodb"), operator.stack.outputs
    keys = {
        "DataKeysTable": "data_key_id",
        "VaultTable": "token",
        "FingerprintsTable": "fingerprint",
    }
    copies = {table: operator.items(table) for table in keys}
    for table, name in keys.items():
        for item in copies[table]:
            dynamodb.delete_item(TableName=outputs[table], Key={name: item[name]})
    with pytest.raises(PermanentError, match="unknown_token"):
        operator.open(tokens)
    for table in ("DataKeysTable", "VaultTable"):
        for item in copies[table]:
            dynamodb.put_item(TableName=outputs[table], Item=item)
    assert operator.open(tokens) == CARDS
    for item in copies["FingerprintsTable"]:
        dynamodb.put_item(TableName=outputs["FingerprintsTable"], Item=item)
    assert _pantok(operator, tmp_path, "vault", "audit", "--json")["is_sound"]
    assert _tokens(operator, tmp_path, "kept") == tokens
