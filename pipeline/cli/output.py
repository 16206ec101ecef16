"""What a person sees, and what a program gets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

WIDTH_OF_FILES = 140  # characters, where output does not go to a terminal

JsonFlag = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")
]
StackOption = Annotated[
    str | None,
    typer.Option(
        "--stack",
        help="The CloudFormation stack to talk to. Default: the local one if it is up, "
        "else the one in PANTOK_STACK.",
    ),
]

screen = Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES)
messages = Console(stderr=True)


def examples(*lines: str) -> str:
    """The end of a command's help, kept as it is written."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def print_json(document: object) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(document, indent=2, default=_as_json, ensure_ascii=False))


def _as_json(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def say(text: str, style: str = "") -> None:
    """A message to the person at the terminal, beside the output."""
    messages.print(printable(text), style=style, highlight=False, markup=False, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout; numbers to the right."""
    shown = Table(title=title, title_justify="left", title_style="bold", header_style="bold cyan")
    rows = [list(row) for row in rows]
    for at, name in enumerate(columns):
        is_number = bool(rows) and all(
            isinstance(row[at], int | float | Decimal) for row in rows if row[at] is not None
        )
        shown.add_column(
            name,
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=at == 0,
        )
    for row in rows:
        shown.add_row(*(Text(_cell(value)) for value in row))
    screen.print(shown)


def facts(title: str, pairs: Mapping[str, object]) -> None:
    """A two-column table without a header."""
    shown = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    shown.add_column(style="cyan", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in pairs.items():
        shown.add_row(name, Text(_cell(value)))
    screen.print(shown)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else printable(str(value))


def printable(text: str) -> str:
    """The text without control characters: names come from others, escapes act on terminals."""
    return "".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in text)


def progress_bar(*, in_bytes: bool = False) -> Progress:
    """Progress on stderr, which shows nothing when that is not a terminal."""
    amount = DownloadColumn() if in_bytes else TextColumn("{task.completed:,.0f}")
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        amount,
        TextColumn("[dim]{task.fields[note]}"),
        console=messages,
        disable=not messages.is_terminal,
        transient=True,
    )


def receipt_facts(receipt: Mapping[str, Any]) -> None:
    """A receipt as a table."""
    facts(f"receipt {receipt['job_id']}", _receipt_pairs(receipt))


def rows_in_words(counts: Mapping[str, Any]) -> str:
    """How rows add up."""
    return (
        f"{counts['rows_read']:,} read = {counts['rows_written']:,} written "
        f"+ {counts['rows_rejected']:,} rejected"
    )


def _receipt_pairs(receipt: Mapping[str, Any]) -> dict[str, object]:
    source, columns = receipt["source"], receipt["columns"]
    pairs: dict[str, object] = {
        "status": receipt["status"],
        "file": source["uri"],
        "layout": receipt["layout"],
    }
    pairs |= {
        name.replace("_", " "): receipt[name]
        for name in ("duplicate_of", "repair_of")
        if receipt[name]
    }
    if receipt["status"] == "failed":
        return pairs | {"reason": receipt["reason"], "detail": receipt.get("detail")}
    calls = {
        f"{service}:{operation}": count
        for service, operations in receipt["aws_calls"].items()
        for operation, count in operations.items()
    }
    rejects = receipt["rejects_by_reason"]
    return pairs | {
        "rows": rows_in_words(receipt),
        "rejected for": ", ".join(f"{reason} {count:,}" for reason, count in rejects.items()),
        "cards": f"{receipt['pans_distinct']:,} distinct: {receipt['tokens_new']:,} new tokens, "
        f"{receipt['tokens_reused']:,} known",
        "Luhn failures": receipt["luhn_failed"],
        "tokenized": ", ".join(columns["tokenized"]),
        "kept": ", ".join(columns["kept"]),
        "dropped": ", ".join(columns["dropped"]),
        "guard": f"{receipt['guard']['cells_scanned']:,} cells, {receipt['guard']['hits']:,} hits",
        "output": "\n".join(output["uri"] for output in receipt["outputs"]),
        "AWS calls": ", ".join(f"{name} {count:,}" for name, count in calls.items()),
        "estimated cost": f"${receipt['estimated_cost_usd']:.6f}",
        "seconds": receipt["seconds"],
    }
