"""Rejected rows: what they are, out for repair, and in again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from pipeline.cli.output import (
    JsonFlag,
    StackOption,
    examples,
    print_json,
    progress_bar,
    receipt_facts,
    say,
    table,
)
from pipeline.cli.session import Deployment, deployment
from pipeline.cli.uploads import put_object, wait_for_receipts
from pipeline.core.jobs import repair_claim, repair_key
from pipeline.core.rejects import RejectedRow, parse_line
from pipeline.errors import PermanentError
from pipeline.staging import rejected_lines

SHOWN_ROWS = 10

app = typer.Typer(
    help="Rejected rows: list, export for repair, replay.",
    epilog=examples(
        "pantok rejects list job_6tok5sahhchio7bet4erbxqbfi",
        "pantok rejects export job_6tok5sahhchio7bet4erbxqbfi -o repair.jsonl",
        "pantok rejects replay job_6tok5sahhchio7bet4erbxqbfi repair.jsonl --wait",
    ),
    no_args_is_help=True,
)

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="A job, repaired or not.")]


@app.command("list", epilog=examples("pantok rejects list job_6tok5sahhchio7bet4erbxqbfi --json"))
def list_rejects(job: JobArgument, as_json: JsonFlag = False, stack: StackOption = None) -> None:
    """Lists why rows of a job are rejected still, and which: numbers only, no row."""
    receipt = history(deployment(stack), job)[-1]
    found = [
        {"reason": reason, "rows": count, "row_numbers": receipt["rejected_rows"][reason]}
        for reason, count in receipt["rejects_by_reason"].items()
    ]
    if as_json:
        print_json({"job_id": job, "of": receipt["job_id"], "rejects": found})
        return
    table(
        f"{receipt['rows_rejected']:,} rejected rows",
        ("reason", "rows", "row numbers"),
        [(each["reason"], each["rows"], _first(each["row_numbers"])) for each in found],
    )


def _first(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN_ROWS]))
    return f"{shown}, …" if len(numbers) > SHOWN_ROWS else shown


@app.command(
    epilog=examples(
        "pantok rejects export job_6tok5sahhchio7bet4erbxqbfi -o repair.jsonl",
        "pantok rejects export job_6tok5sahhchio7bet4erbxqbfi --reason pan_masked | less",
    )
)
def export(
    job: JobArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A new file, for your eyes only. Default: stdout."),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Only rows with this reason.")] = None,
    stack: StackOption = None,
) -> None:
    """Writes the original rows, with card numbers, as JSON lines to be repaired.

    It takes the right to read rejects in quarantine. Mend `record` in each line, and drop the lines
    that you give up; then `pantok rejects replay`.
    """
    target = deployment(stack)
    receipt = history(target, job)[-1]
    exported, has_columns = 0, False
    with _sink(output) as sink:
        for line in rejected_lines(target.quarantine, receipt["rejects_uris"]):
            row = parse_line(line)
            if isinstance(row, RejectedRow):
                if reason not in (None, row.reason):
                    continue
                exported += 1
            elif has_columns:
                continue
            else:
                has_columns = True
            sink.write(line)
    where = output if output is not None else "stdout"
    say(f"{exported:,} rows of {receipt['job_id']} to {where}: they hold card numbers.")


@contextmanager
def _sink(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise PermanentError("file_exists", f"{output} is there already") from None
    with os.fdopen(descriptor, "wb") as sink:
        yield sink


@app.command(
    epilog=examples("pantok rejects replay job_6tok5sahhchio7bet4erbxqbfi repair.jsonl --wait")
)
def replay(
    job: JobArgument,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="What was exported, repaired.")
    ],
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the receipt.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait, with --wait.")] = 600.0,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Sends repaired rows through; rows that are left out, or fail again, stay rejected."""
    target = deployment(stack)
    receipt = history(target, job)[-1]
    if not receipt["rejects_uris"]:
        raise PermanentError("nothing_to_repair", f"{job} has no rejected rows")
    key = repair_key(receipt["layout"], receipt["job_id"], file.name)
    with progress_bar(in_bytes=True) as progress:
        task = progress.add_task(file.name, total=file.stat().st_size, note="")
        upload = put_object(target, file, key, lambda sent: progress.advance(task, sent))
    if not wait:
        if as_json:
            print_json({"job_id": upload.job_id, "repair_of": receipt["job_id"]})
        else:
            say(f"{upload.job_id} repairs {receipt['job_id']}: see `pantok receipt {job}`.")
        return
    (repair,) = wait_for_receipts(target, [upload], timeout)
    print_json(repair) if as_json else receipt_facts(repair)
    if repair["status"] != "committed":
        say("The repair was refused; nothing has changed. Mend the file and replay it again.")
        raise typer.Exit(1)


def history(target: Deployment, job_id: str) -> list[Mapping[str, Any]]:
    """The receipt of a job and those of its repairs, in their order.

    Raises `PermanentError` `no_receipt`.
    """
    receipts = [_receipt(target, job_id)]
    while receipts[-1]["rejects_uris"]:
        repair = target.ledger.owner(repair_claim(receipts[-1]["job_id"]))
        receipt = target.tokenized.get_receipt(repair) if repair else None
        if receipt is None or receipt["status"] != "committed":
            break
        receipts.append(receipt)
    return receipts


def _receipt(target: Deployment, job_id: str) -> Mapping[str, Any]:
    receipt = target.tokenized.get_receipt(job_id)
    if receipt is None:
        raise PermanentError("no_receipt", f"{job_id} has none (yet): see `pantok jobs`")
    return receipt


def in_all(receipts: list[Mapping[str, Any]]) -> dict[str, int]:
    """What a job and its repairs come to together: rows read, written, and rejected still."""
    return {
        "rows_read": receipts[0]["rows_read"],
        "rows_written": sum(receipt["rows_written"] for receipt in receipts),
        "rows_rejected": receipts[-1]["rows_rejected"],
    }
