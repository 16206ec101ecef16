"""The README's table of promises: each with the tests that show it, and how many cases ran.

python -m tests.promises            writes the table, from the last complete run of the tests
python -m tests.promises --check    fails unless the README has that table
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
LAST_RUN = ROOT / "build" / "test-run.json"
BEGIN, END = "<!-- promises: written by `make promises` -->\n", "<!-- end of promises -->\n"


@dataclass(frozen=True)
class Promise:
    """What is promised, how it is kept, and which tests (by the beginning of their ids) show it."""

    text: str
    how: str
    shown_by: tuple[str, ...]


PROMISES = (
    Promise(
        "A card has one token in its scope, for ever",
        "a claim on the card's keyed fingerprint; whoever loses a race adopts the winner's token",
        (
            "tests/contract/test_vault_contract.py",
            "tests/model/",
            "tests/faults/test_sweep_of_chunks.py",
            "tests/unit/test_job.py::test_two_files_with_the_same_cards",
        ),
    ),
    Promise(
        "A token is usable only when its vault row and its wrapped data key are durable",
        "the vault row is inserted before the claim, the claim before any output",
        ("tests/faults/test_sweep.py", "tests/unit/test_job.py::test_the_sweep"),
    ),
    Promise(
        "Rows read = rows written + rows rejected",
        "in the receipt, which is written last; no receipt, no file",
        (
            "tests/unit/test_tokenize.py",
            "tests/unit/test_chunking.py",
            "tests/unit/test_fan_out.py",
            "tests/unit/test_repairs.py",
            "tests/unit/test_delimited",
            "tests/unit/test_control_totals.py",
            "tests/e2e/test_main_line.py",
        ),
    ),
    Promise(
        "No PAN outside quarantine and, sealed, the vault",
        "what is not named is dropped; a guard searches every kept cell; errors, logs, metrics and "
        "queues carry codes, counts and positions",
        (
            "tests/e2e/test_nothing_is_left_behind.py",
            "tests/canaries/",
            "tests/unit/test_guard.py",
            "tests/unit/test_text",
            "tests/unit/test_leaks.py",
            "tests/unit/test_log_filter.py",
            "tests/unit/test_reprs.py",
        ),
    ),
    Promise(
        "No sensitive authentication data is kept",
        "a layout that keeps such a column is refused; track data and such columns are taken out "
        "of rejected rows too",
        (
            "tests/unit/test_sensitive.py",
            "tests/unit/test_redaction.py",
            "tests/unit/test_tracks.py",
        ),
    ),
    Promise(
        "A sealed PAN opens only in its own row",
        "AES-256-GCM binds token, scope and data key",
        ("tests/unit/test_envelope.py", "tests/component/test_detokenize.py"),
    ),
    Promise(
        "Doing it again changes nothing",
        "a job is one object version; attempts stage under names of their own, one of them "
        "decides, anybody can carry the decision out",
        ("tests/faults/test_sweep", "tests/unit/test_job.py", "tests/e2e/test_interruptions.py"),
    ),
    Promise(
        "Nothing is dropped silently",
        "a message ends in a commit or in the dead-letter queue with a reason; a worker whose time "
        "is up hands the rest on",
        (
            "tests/component/test_worker.py",
            "tests/unit/test_messages.py",
            "tests/faults/test_sweep",
            "tests/faults/test_replay_of_dead_letters.py",
            "tests/contract/test_dead_letters_contract.py",
            "tests/unit/test_hostile_files.py",
            "tests/faults/test_readers_that_die.py",
            "tests/faults/test_encrypted_files.py",
        ),
    ),
    Promise(
        "The worker cannot read, overwrite or delete the vault",
        "it may do `dynamodb:PartiQLInsert` there and `kms:GenerateDataKey` with the vault key, "
        "nothing else",
        ("tests/unit/test_template.py", "tests/unit/test_policies.py", "tests/faults/test_sweep"),
    ),
)


def table(cases: Mapping[str, int]) -> str:
    """The table in Markdown; raises `SystemExit` when some tests of a promise did not run."""
    lines = ["| promise | how | shown by | cases |", "|---|---|---|---:|"]
    for promise in PROMISES:
        for prefix in promise.shown_by:
            if not any(name.startswith(prefix) for name in cases):
                raise SystemExit(f"no test ran whose id begins with {prefix}: run all tests first")
        count = sum(n for name, n in cases.items() if name.startswith(promise.shown_by))
        places = ", ".join(f"`{prefix.removeprefix('tests/')}`" for prefix in promise.shown_by)
        lines.append(f"| {promise.text} | {promise.how} | {places} | {count:,} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    if not LAST_RUN.exists():
        raise SystemExit("the tests have not run yet: `make test`")
    written = table(json.loads(LAST_RUN.read_text()))
    before, _, rest = README.read_text().partition(BEGIN)
    standing, _, after = rest.partition(END)
    if "--check" not in sys.argv:
        README.write_text(f"{before}{BEGIN}{written}{END}{after}")
    elif not _agree(standing, written):
        raise SystemExit("the README's table of promises is not that of this run: `make promises`")


def _agree(standing: str, written: str) -> bool:
    """Whether two tables say the same; a slow machine's worker reports its progress once more,
    which is another place for a fault, so the numbers of cases may differ by a twentieth.
    """
    ours, theirs = (
        re.findall(r"\| ([\d,]+) \|$", text, re.MULTILINE) for text in (standing, written)
    )
    without = [
        re.sub(r"\| [\d,]+ \|$", "", text, flags=re.MULTILINE) for text in (standing, written)
    ]
    counts = [[int(each.replace(",", "")) for each in found] for found in (ours, theirs)]
    are_close = all(abs(a - b) <= b / 20 for a, b in zip(*counts, strict=False))
    return without[0] == without[1] and len(ours) == len(theirs) and are_close


# What pytest is told: see tests/conftest.py


def cases_of(reports: list[Any]) -> dict[str, int]:
    """Cases by test: one each, more where a test says so; none that only some machines can run."""
    cases: dict[str, int] = {}
    for report in reports:
        properties = dict(report.user_properties)
        if "needs" not in properties:
            cases[report.nodeid] = int(properties.get("cases", 1))
    return cases


if __name__ == "__main__":
    main()
