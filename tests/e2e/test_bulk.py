"""A whole file through the command line: asked for, approved, opened, sealed, unsealed, ended."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pipeline.core.leaks import LeakScanner
from pipeline.samples.cards import synthetic_pans
from tests.e2e.operator import Operator

pytestmark = pytest.mark.e2e

PANS = synthetic_pans(230, seed=4711)


@pytest.fixture
def tokens(granted_operator: Operator, tmp_path: Path) -> list[str]:
    file = tmp_path / "cards.csv"
    file.write_text("card\n" + "\n".join(PANS) + "\n")
    found: list[str] = granted_operator.output(granted_operator.tokenize(file, None))[
        "card_token"
    ].to_pylist()
    (tmp_path / "tokens.txt").write_text("\n".join(found) + "\n")
    key = X25519PrivateKey.generate()
    (tmp_path / "me.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "me.pub.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return found


def test_a_file_is_opened_once_it_is_approved_and_never_after(
    granted_operator: Operator, tokens: list[str], tmp_path: Path
) -> None:
    sealed, cards = tmp_path / "result.sealed", tmp_path / "cards_back.csv"
    ask = [
        *("detokenize", "--file", str(tmp_path / "tokens.txt"), "--purpose", "migration"),
        *("--public-key", str(tmp_path / "me.pub.pem"), "--output", str(sealed)),
    ]
    early = granted_operator.pantok(*ask)
    assert early.returncode == 1
    assert "not_approved" in early.stderr
    assert "pantok bulk approve" in early.stderr
    assert not sealed.exists()
    job_file = tmp_path / "result.sealed.job.json"
    job = json.loads(job_file.read_text())["job"]
    assert (job["reason"], job["rows"]) == ("migration", "230")

    assert granted_operator.pantok("bulk", "approve", str(job_file), "--yes").returncode == 0
    done = granted_operator.pantok(*ask, "--json")

    assert "pantok bulk approve" not in done.stderr
    assert json.loads(done.stdout)["rows"] == 230
    scanner = LeakScanner([pan.encode() for pan in PANS])
    said = [early.stdout, early.stderr, done.stdout, done.stderr, sealed.read_text()]
    assert scanner.leaks_in("\n".join([*said, job_file.read_text()]).encode()) == []
    unsealed = granted_operator.pantok(
        "bulk", "unseal", str(sealed), "--private-key", str(tmp_path / "me.pem"), "-o", str(cards)
    )
    assert unsealed.returncode == 0
    assert cards.stat().st_mode & 0o077 == 0
    rows = list(csv.DictReader(cards.read_text().splitlines()))
    assert [row["token"] for row in rows] == tokens
    assert [row["pan"] for row in rows] == PANS
    kms, key = granted_operator.stack.client("kms"), granted_operator.stack.outputs["BulkKeyArn"]
    assert kms.list_grants(KeyId=key)["Grants"] == []
    sealed.unlink()
    assert "not_approved" in granted_operator.pantok(*ask).stderr

    traced = granted_operator.pantok_json("trace", job["job_id"])
    events = {each["event"] for each in traced if each["source"] == "CloudTrail"}
    assert events == {"GenerateDataKeyWithoutPlaintext", "CreateGrant", "Decrypt"}
    assert {each["event"] for each in traced if each["source"] == "audit log"} == {"bulk"}


def test_a_file_that_holds_something_else_is_not_sent(
    granted_operator: Operator, tokens: list[str], tmp_path: Path
) -> None:
    (tmp_path / "tokens.txt").write_text(f"{tokens[0]}\n{PANS[0]}\n")
    refused = granted_operator.pantok(
        *("detokenize", "--file", str(tmp_path / "tokens.txt"), "--purpose", "migration"),
        *("--public-key", str(tmp_path / "me.pub.pem"), "--output", str(tmp_path / "x")),
    )
    assert refused.returncode == 1
    assert refused.stderr.strip() == "not_a_token: line 2"
    assert not (tmp_path / "x.job.json").exists()
