"""Synthetic settlement files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.output import JsonFlag, examples, print_json, progress_bar, say
from pipeline.samples.generate import GENERATED_LAYOUTS
from pipeline.samples.generate import generate as write_file

EXAMPLES = examples(
    "pantok generate --rows 100000 --cards 25000 --seed 7 -o settlement.csv",
    "pantok generate --rows 500 --layout acquirer-pipe > day.txt",
)


def generate(
    rows: Annotated[int, typer.Option(min=1, help="How many transactions.")] = 1000,
    cards: Annotated[
        int | None, typer.Option(min=1, help="How many different cards. Default: a quarter.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same file.")] = 1,
    layout: Annotated[
        str, typer.Option(help=f"One of {', '.join(GENERATED_LAYOUTS)}.")
    ] = GENERATED_LAYOUTS[0],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Default: standard output.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Writes a settlement file of synthetic cards, of any size."""
    if layout not in GENERATED_LAYOUTS:
        raise typer.BadParameter(f"--layout must be one of {', '.join(GENERATED_LAYOUTS)}")
    if as_json and output is None:
        raise typer.BadParameter("--json needs --output: the file itself goes to standard output")
    cards = cards or max(1, rows // 4)
    with progress_bar() as progress:
        task = progress.add_task("rows", total=rows, note="")
        write_file(
            output or sys.stdout.buffer,
            layout=layout,
            rows=rows,
            cards=cards,
            seed=seed,
            progress=lambda done: progress.update(task, completed=done),
        )
    if as_json and output is not None:
        size_bytes = output.stat().st_size
        print_json({"file": str(output), "rows": rows, "cards": cards, "size_bytes": size_bytes})
    elif output is not None:
        say(f"{output}: {rows:,} rows, {cards:,} cards; `pantok upload {output} --layout {layout}`")
