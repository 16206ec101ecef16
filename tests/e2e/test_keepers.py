"""Keys and vault in their keepers' hands, on the local stack, by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PermanentError
from pipeline.local import LocalStack
from pipeline.samples.cards import synthetic_pans
from tests.e2e.operator import Operator

pytestmark = pytest.mark.e2e

CARDS = synthetic_pans(30, seed=71)
LAYOUT = 'name = "{0}"\nscope = "{0}"\n[columns.card]\nrole = "pan"\n'


@pytest.fixture(scope="module")
def operator(local_stack: LocalStack) -> Operator:
    operator = Operator(local_stack)
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


def test_the_keys_are_listed_and_a_fingerprint_key_is_not_hurried(
    operator: Operator, tmp_path: Path
) -> None:
    listed = _pantok(operator, tmp_path, "keys", "list", "--json")
    assert {key["purpose"] for key in listed["keys"]} >= {"fingerprint"}
    planned = _pantok(operator, tmp_path, "keys", "rewrap", "--dry-run", "--json")
    assert (planned["dry_run"], planned["rewrapped"]) == (True, 0)
    finish = ("keys", "fingerprint", "finish")
    assert "no_succession" in _pantok(operator, tmp_path, *finish, code=1)
    begun = _pantok(operator, tmp_path, "keys", "fingerprint", "begin", "--yes", "--json")
    assert begun["versions"] == [1, 2]
    reindex = ("keys", "fingerprint", "reindex")
    assert "too_early" in _pantok(operator, tmp_path, *reindex, code=1)
    assert "not_reindexed" in _pantok(operator, tmp_path, *finish, code=1)
