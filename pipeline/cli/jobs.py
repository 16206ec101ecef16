"""The ledger and the receipts."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from pipeline.cli.output import (
    JsonFlag,
    StackOption,
    facts,
    messages,
    print_json,
    receipt_facts,
    rows_in_words,
    screen,
    table,
)
from pipeline.cli.rejects import history, in_all
from pipeline.cli.session import Deployment, deployment

WATCH_SECONDS = 1.0
SHOWN_JOBS = 50
_OPEN = ("running", "waiting", "publishing")


def jobs(
    watch: Annotated[
        bool, typer.Option("--watch", help="Show again every second until all are done.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many to show, newest first.")] = SHOWN_JOBS,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Lists jobs, newest first."""
    target = deployment(stack)
    found = _newest(target, limit)
    while watch and any(job["status"] in _OPEN for job in found):
        if messages.is_terminal and not as_json:
            screen.clear()
            _show(found)
        time.sleep(WATCH_SECONDS)
        found = _newest(target, limit)
    if as_json:
        print_json(found)
    else:
        _show(found)


def receipt(job: str, as_json: JsonFlag = False, stack: StackOption = None) -> None:
    """Prints the receipt of a job, and what it comes to with the repairs of its rejected rows."""
    receipts = history(deployment(stack), job)
    repairs, total = [each["job_id"] for each in receipts[1:]], in_all(receipts)
    if as_json:
        print_json({**receipts[0], "repairs": repairs, "in_all": total})
        return
    receipt_facts(receipts[0])
    if repairs:
        facts("with its repairs", {"repairs": "\n".join(repairs), "rows": rows_in_words(total)})


def _newest(target: Deployment, limit: int) -> list[dict[str, Any]]:
    found = sorted(target.ledger.jobs(), key=lambda job: str(job["started_at"]), reverse=True)
    return found[:limit]


def _show(found: list[dict[str, Any]]) -> None:
    table(
        "jobs",
        ("job", "layout", "status", "rows read", "attempts", "started", "reason"),
        [
            (
                job["job_id"],
                job["layout"],
                _status(job),
                job["rows_read"],
                job["attempts"],
                job["started_at"],
                job.get("reason") or job.get("trouble"),
            )
            for job in found
        ],
    )


def _status(job: dict[str, Any]) -> str:
    """The status; of a file that many workers share, how many of its chunks are done."""
    if job["status"] not in _OPEN or "planned" not in job:
        return str(job["status"])
    return f"{job['status']}, {job.get('chunks_done', 0)} of {job['planned']} chunks"
