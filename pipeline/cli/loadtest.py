"""A load test: files, faults and duplicate events in; every row reconciled; a report."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.load_driver import LoadDriver
from pipeline.cli.load_run import LoadTest
from pipeline.cli.output import (
    JsonFlag,
    StackOption,
    examples,
    facts,
    print_json,
    progress_bar,
    say,
    table,
)
from pipeline.cli.session import deployment
from pipeline.loadtest.figures import Figures
from pipeline.loadtest.plan import Load
from pipeline.loadtest.report import Outcome, as_document, as_html
from pipeline.loadtest.tracking import Sample
from pipeline.samples.cards import MAX_CARDS

EXAMPLES = examples(
    "pantok loadtest --files 20 --rows 5000 --cards 2000",
    "pantok loadtest --files 200 --rows 10000 --cards 500000 --reject-rate 0.01 --poison 5 \\",
    "    --duplicate-events 20 --report loadtest.html",
)


def loadtest(
    files: Annotated[int, typer.Option(min=1, help="How many settlement files.")] = 20,
    rows: Annotated[int, typer.Option(min=1, help="Rows in each file.")] = 1000,
    cards: Annotated[
        int, typer.Option(min=1, max=MAX_CARDS, help="Different cards, over all files.")
    ] = 500,
    reject_rate: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the rows that have a fault.")
    ] = 0.01,
    poison: Annotated[
        int, typer.Option(min=0, help="Files beside those that must be refused as a whole.")
    ] = 0,
    duplicate_events: Annotated[
        int, typer.Option(min=0, help="Events sent once more, early and late.")
    ] = 0,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Uploads at once.")] = 4,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="The same seed gives the same files. Default: new cards."),
    ] = None,
    settle: Annotated[
        float,
        typer.Option(
            min=0, help="Seconds that the queue must be empty; on AWS its counts lag: 60."
        ),
    ] = 3.0,
    timeout: Annotated[float, typer.Option(help="Seconds that the whole test may take.")] = 3600.0,
    report: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the HTML report here.")
    ] = None,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Loads a deployment with synthetic files and checks that every row adds up.

    Nothing is deleted: uploads, outputs and dead letters bear the run's name or its jobs' ids.
    """
    if report is not None and not report.parent.is_dir():
        raise typer.BadParameter("the folder of --report does not exist")
    target = deployment(stack)
    seed = secrets.randbelow(2**31) if seed is None else seed
    run_id = _run_id(datetime.now(UTC))
    load = Load(run_id, files, rows, cards, reject_rate, poison, duplicate_events, seed)
    with _progress(load, is_shown=not as_json) as show:
        driver = LoadDriver(target, load, settle_seconds=settle, timeout_seconds=timeout, show=show)
        outcome = LoadTest(target, load, driver, concurrency).outcome()
    if report is not None:
        report.write_text(as_html(outcome), encoding="utf-8")
    _print(outcome, report, as_json=as_json)
    if not outcome.adds_up:
        say("It does not add up.", style="bold red")
        raise typer.Exit(1)


def _run_id(now: datetime) -> str:
    """Tells runs apart; without a run of digits so long that it could be a card number's."""
    letters = [secrets.choice("abcdefghijkmnpqr") for _ in range(4)]
    return f"{now:%Y%m%d}t{now:%H%M%S}{''.join(letters)}"


@contextmanager
def _progress(load: Load, *, is_shown: bool) -> Iterator[Callable[[Sample], None]]:
    """Live progress on stderr, which shows nothing when that is not a terminal."""
    total = load.files + load.poison
    started = time.monotonic()
    if is_shown:
        say(f"run {load.run_id}, seed {load.seed}: {total:,} files, {load.cards:,} cards")
    with progress_bar() as progress:
        uploaded = progress.add_task("files uploaded", total=total, note="")
        ended = progress.add_task("files done", total=total, note="")
        rows = progress.add_task("rows read", total=load.files * load.rows, note="")

        def show(sample: Sample) -> None:
            depth = f"queue: {sample.depth.waiting:,} waiting, {sample.depth.in_flight:,} in flight"
            speed = sample.rows_read / max(time.monotonic() - started, 1e-3)
            progress.update(uploaded, completed=sample.files_uploaded)
            progress.update(ended, completed=sample.files_ended, note=depth)
            progress.update(rows, completed=sample.rows_read, note=f"{speed:,.0f} a second")

        yield show


def _print(outcome: Outcome, report: Path | None, *, as_json: bool) -> None:
    if as_json:
        print_json(as_document(outcome) | {"report": str(report) if report else None})
        return
    facts(f"load test {outcome.load.run_id}", _summary(outcome.figures))
    table(
        "reconciliation",
        ("", "expected", "found", "right"),
        [(line.what, line.expected, line.found, line.is_right) for line in outcome.lines],
    )
    if outcome.findings:
        table("does not add up", ("where", "what"), outcome.findings)
    if report is not None:
        say(f"The report is in {report}")


def _summary(figures: Figures) -> dict[str, object]:
    latency = ", ".join(f"{name} {value:,.2f}" for name, value in figures.latency_seconds.items())
    return {
        "rows a second": f"{figures.rows_per_second:,.0f}",
        "seconds": figures.seconds,
        "seconds from upload to commit": latency,
        "new tokens": figures.tokens_new,
        "files attempted more than once": figures.retried_files,
        "AWS calls": sum(sum(each.values()) for each in figures.aws_calls.values()),
        "estimated dollars per million rows": figures.estimated_usd_per_million_rows,
    }
