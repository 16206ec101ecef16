"""The command line, as a person and as a program use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.local import LocalStack
from tests.e2e.operator import Operator

pytestmark = pytest.mark.e2e

COMMANDS = [
    [],
    ["upload"],
    ["jobs"],
    ["receipt"],
    ["query"],
    ["scan"],
    ["generate"],
    ["loadtest"],
    ["demo"],
    ["dlq", "list"],
    ["dlq", "show"],
    ["dlq", "replay"],
    ["rejects", "list"],
    ["rejects", "export"],
    ["rejects", "replay"],
    ["inspect"],
    ["layouts", "list"],
    ["layouts", "add"],
    ["layouts", "show"],
    ["layouts", "check"],
    ["layouts", "new"],
    ["layouts", "schema"],
    ["keys", "list"],
    ["keys", "rotate"],
    ["keys", "rewrap"],
    *(["keys", "fingerprint", step] for step in ("begin", "reindex", "finish", "retire")),
    ["vault", "audit"],
    ["vault", "forget"],
    ["vault", "expire"],
    ["vault", "shred"],
    ["local", "up"],
    ["local", "down"],
    ["local", "status"],
]


@pytest.fixture(scope="module")
def operator(local_stack: LocalStack) -> Operator:
    return Operator(local_stack)


def _without_stack(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from pipeline.cli.main import main; main()", *arguments],
        env={"PANTOK_LOCAL_DIR": str(folder / "none"), "PATH": os.environ["PATH"]},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    done = CliRunner().invoke(app, [*command, "--help"], prog_name="pantok")
    assert done.exit_code == 0
    assert "Usage: pantok" in done.stdout
    assert "Examples:\n    pantok" in done.stdout


@pytest.mark.parametrize("command", [["upload"], ["nonsense"], ["dlq", "replay"], ["receipt"]])
def test_wrong_usage_ends_with_2(command: list[str], tmp_path: Path) -> None:
    done = _without_stack(tmp_path, *command)
    assert done.returncode == 2
    assert done.stdout == ""


@pytest.mark.parametrize("command", [["jobs"], ["dlq", "list"], ["query", "SELECT 1"]])
def test_without_a_stack_a_command_says_how_to_get_one(command: list[str], tmp_path: Path) -> None:
    done = _without_stack(tmp_path, *command, "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pantok local up" in done.stderr
    assert "Traceback" not in done.stderr


def test_upload_with_wait_prints_one_receipt_as_json_and_nothing_else(
    operator: Operator, sample_data: Path
) -> None:
    done = operator.pantok("upload", str(sample_data / "unnamed_columns.csv"), "--wait", "--json")
    receipt = json.loads(done.stdout)
    assert done.returncode == 0
    assert receipt["rows_read"] == 80
    shown = operator.pantok_json("receipt", receipt["job_id"])
    assert {name: shown[name] for name in receipt} == receipt
    assert receipt["job_id"] in [job["job_id"] for job in operator.pantok_json("jobs")]


def test_several_files_give_several_receipts_in_their_order(
    operator: Operator, sample_data: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_bytes((sample_data / "unnamed_columns.csv").read_bytes())
    receipts = operator.pantok_json(
        "upload", str(sample_data / "unnamed_columns.csv"), str(other), "--wait"
    )
    names = [receipt["source"]["uri"].rsplit("/", 1)[1] for receipt in receipts]
    assert names == ["unnamed_columns.csv", "other.csv"]


def test_an_upload_that_fails_ends_with_1_and_its_receipt(
    operator: Operator, sample_data: Path
) -> None:
    done = operator.pantok(
        "upload", str(sample_data / "card_present.csv"), "--layout", "nobody", "--wait", "--json"
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["reason"] == "unknown_layout"
    assert "pantok dlq list" in done.stderr


def test_a_file_whose_name_holds_a_pan_is_not_uploaded(operator: Operator, tmp_path: Path) -> None:
    file = tmp_path / "4111111111111111.csv"
    file.write_text("card\n")
    done = operator.pantok("upload", str(file))
    assert done.returncode == 1
    assert "pan_in_object_key" in done.stderr
    assert "4111111111111111" not in done.stdout + done.stderr


def test_query_counts_the_tokenized_rows(operator: Operator, sample_data: Path) -> None:
    operator.tokenize(sample_data / "card_present.csv", "card-present")
    sql = "SELECT count(*) AS n, count(DISTINCT card_number_token) AS cards FROM tokenized"
    counted = operator.pantok_json("query", "--layout", "card-present", sql)
    assert counted[0]["cards"] == 250
    assert counted[0]["n"] % 1000 == 0


def test_a_query_that_is_not_sql_is_an_error_for_people(
    operator: Operator, sample_data: Path
) -> None:
    operator.tokenize(sample_data / "card_present.csv", "card-present")
    done = operator.pantok("query", "SELEKT")
    assert done.returncode == 1
    assert "invalid_query" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_layout_with_mistakes_is_refused_with_each_of_them(
    operator: Operator, tmp_path: Path
) -> None:
    file = tmp_path / "broken.toml"
    file.write_text('name = "broken"\n[columns.a]\nrole = "pann"\n[format]\ndelimeter = ";"\n')
    done = operator.pantok("layouts", "add", str(file))
    assert done.returncode == 1
    assert "columns.a.role" in done.stderr
    assert "did you mean delimiter?" in done.stderr


def test_an_unknown_job_and_an_unknown_letter_are_errors(operator: Operator) -> None:
    assert "no_receipt" in operator.pantok("receipt", "job_none").stderr
    assert "no_such_letter" in operator.pantok("dlq", "show", "none").stderr


def test_looking_at_dead_letters_leaves_them_where_they_are(
    operator: Operator, sample_data: Path
) -> None:
    operator.tokenize(sample_data / "card_present.csv", "not-there")
    first = {letter["id"] for letter in operator.pantok_json("dlq", "list")}
    assert first
    assert {letter["id"] for letter in operator.pantok_json("dlq", "list")} == first


def test_dead_letters_are_chosen_by_reason_layout_and_age(
    operator: Operator, sample_data: Path
) -> None:
    job_id = operator.tokenize(sample_data / "card_present.csv", "chosen-one")["job_id"]

    def chosen(*options: str) -> bool:
        found = operator.pantok_json("dlq", "list", *options)
        return job_id in [letter["job_id"] for letter in found]

    assert chosen("--layout", "chosen-one", "--reason", "unknown_layout", "--newer-than", "1h")
    assert not chosen("--layout", "card-present")
    assert not chosen("--reason", "worker_died")
    assert not chosen("--older-than", "1h")


def test_a_dry_run_says_what_would_be_replayed_and_the_count_of_attempts_is_kept(
    operator: Operator, sample_data: Path
) -> None:
    job_id = operator.tokenize(sample_data / "card_present.csv", "tried-twice")["job_id"]
    options = ("--layout", "tried-twice")
    (letter,) = operator.pantok_json("dlq", "list", *options)
    dry = operator.pantok_json("dlq", "replay", *options, "--dry-run")
    assert dry == {"dry_run": True, "replayed": [letter], "not_replayable": []}
    assert operator.pantok_json("dlq", "list", *options) == [letter]

    assert operator.pantok_json("dlq", "replay", *options)["replayed"] == [letter]
    again = operator.letter_of(job_id)
    assert (letter["attempts"], again["attempts"]) == (1, 2)


@pytest.mark.parametrize("age", ["soon", "7", "-1d", "1y", "1" * 9 + "s"])
def test_an_age_that_is_none_is_wrong_usage(age: str, tmp_path: Path) -> None:
    assert _without_stack(tmp_path, "dlq", "list", "--older-than", age).returncode == 2


def test_rejected_rows_are_exported_repaired_and_replayed_and_all_adds_up(
    operator: Operator, sample_data: Path, tmp_path: Path
) -> None:
    job = operator.tokenize(sample_data / "every_reject.csv", "every-reject")
    listed = operator.pantok_json("rejects", "list", job["job_id"])
    assert {each["reason"]: each["rows"] for each in listed["rejects"]} == job["rejects_by_reason"]

    exported = tmp_path / "repair.jsonl"
    done = operator.pantok("rejects", "export", job["job_id"], "-o", str(exported))
    assert (done.returncode, done.stdout) == (0, "")
    assert exported.stat().st_mode & 0o077 == 0
    assert (
        "file_exists"
        in operator.pantok("rejects", "export", job["job_id"], "-o", str(exported)).stderr
    )
    columns, *rows = map(json.loads, exported.read_text().splitlines())
    assert len(rows) == job["rows_rejected"]
    good = operator.read(job["source"]["uri"]).splitlines()[1].decode()
    mended = [{**row, "record": good} for row in rows if row["reason"] == "pan_masked"]
    exported.write_text("\n".join(map(json.dumps, [columns, *mended])))

    options = ("rejects", "replay", job["job_id"], str(exported), "--wait")
    repair = operator.pantok_json(*options)
    assert repair["rows_written"] == len(mended) > 0
    shown = operator.pantok_json("receipt", job["job_id"])
    assert shown["repairs"] == [repair["job_id"]]
    assert shown["in_all"] == {
        "rows_read": job["rows_read"],
        "rows_written": job["rows_written"] + len(mended),
        "rows_rejected": job["rows_rejected"] - len(mended),
    }
    assert "with its repairs" in operator.pantok("receipt", job["job_id"]).stdout
    again = operator.pantok(*options, "--json")
    assert again.returncode == 1
    assert json.loads(again.stdout)["reason"] == "unknown_row"


def test_status_tells_that_the_stack_runs(operator: Operator) -> None:
    status = operator.pantok_json("local", "status")
    assert status["state"] == "running"
    assert set(status["services"].values()) <= {"ok", "CREATE_COMPLETE", "UPDATE_COMPLETE"}


def test_generate_writes_the_same_file_for_the_same_seed(tmp_path: Path) -> None:
    options = ["generate", "--rows", "50", "--cards", "7", "--seed", "3"]
    printed = _without_stack(tmp_path, *options)
    written = _without_stack(tmp_path, *options, "-o", str(tmp_path / "f.csv"), "--json")
    assert json.loads(written.stdout)["rows"] == 50
    assert (tmp_path / "f.csv").read_text() == printed.stdout
    assert len(printed.stdout.splitlines()) == 51


def test_scan_finds_the_cards_of_a_settlement_file_and_none_in_its_output(
    operator: Operator, sample_data: Path
) -> None:
    receipt = operator.tokenize(sample_data / "card_present.csv", "card-present")
    raw = operator.pantok("scan", str(sample_data / "card_present.csv"), "--json")
    assert raw.returncode == 1
    assert len(json.loads(raw.stdout)) > 900
    scrubbed = operator.pantok("scan", receipt["outputs"][0]["uri"], "--json")
    assert (scrubbed.returncode, json.loads(scrubbed.stdout)) == (0, [])


def test_progress_is_not_drawn_where_nobody_watches(operator: Operator, sample_data: Path) -> None:
    done = operator.pantok("upload", str(sample_data / "unnamed_columns.csv"), "--wait")
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr == ""


def test_the_demo_runs_through_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = _without_stack(tmp_path, "demo", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert [each["status"] for each in summary["receipts"]] == ["committed"] * 4
    assert summary["dead_letters"][0]["reason"] == "unknown_layout"
    assert summary["receipts"][2]["tokens_new"] == 0
    last4 = summary["spend_by_token"][0]["last4"]
    seen, refused = (each["answer"] for each in summary["detokenized"])
    assert (seen[-4:], refused) == (last4, "refused: not_granted")
    state = tmp_path / ".pantok" / "demo"
    assert not any(str(state) in line for line in _command_lines())


def _command_lines() -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()
