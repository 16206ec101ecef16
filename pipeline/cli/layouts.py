"""Layouts of a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.aws.faults import translated
from pipeline.aws.layout_catalogue import built_in_layout, built_in_names
from pipeline.cli.output import JsonFlag, StackOption, examples, print_json, screen, table
from pipeline.cli.session import Deployment, deployment
from pipeline.core.layouts import Layout, parse_layout

app = typer.Typer(help="Layouts: how files are read.", no_args_is_help=True)


@app.command("list", epilog=examples("pantok layouts list"))
def list_layouts(as_json: JsonFlag = False) -> None:
    """Lists the layouts that ship with the product."""
    documents = [(name, built_in_layout(name) or b"") for name in built_in_names()]
    layouts = [parse_layout(document, expected_name=name) for name, document in documents]
    rows = [(each.name, each.description, ", ".join(each.pan_columns)) for each in layouts]
    if as_json:
        print_json([{"name": name, "description": text} for name, text, _ in rows])
    else:
        table("built-in layouts", ("name", "description", "PAN columns"), rows)


@app.command(epilog=examples("pantok layouts add sample_data/layouts/acme.toml"))
def add(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="NAME.toml")],
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Checks a layout and adds it to a deployment; it holds for the next file."""
    layout = put_layout(deployment(stack), file)
    if as_json:
        print_json({"name": layout.name, "pan_columns": layout.pan_columns})
    else:
        screen.print(f"layout {layout.name} added: upload with --layout {layout.name}")


def put_layout(target: Deployment, file: Path) -> Layout:
    """Adds a layout; raises `LayoutError` when it has mistakes."""
    document = file.read_bytes()
    layout = parse_layout(document, expected_name=file.stem)
    bucket, _, prefix = target.outputs["LayoutsUri"].removeprefix("s3://").partition("/")
    with translated("s3:PutObject"):
        target.client("s3").put_object(
            Bucket=bucket, Key=f"{prefix}/{layout.name}.toml", Body=document
        )
    return layout
