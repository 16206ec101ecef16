"""Layouts: what there is, what is wrong with one, a first one for a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.aws.faults import translated
from pipeline.aws.layout_catalogue import UriLayouts, built_in_layout, built_in_names
from pipeline.cli.output import JsonFlag, StackOption, examples, print_json, say, screen, table
from pipeline.cli.session import Deployment, deployment
from pipeline.core.athena import glue_table, table_statement, view_statement
from pipeline.core.folders import FOLDERS_DOCUMENT, parse_folder_rules
from pipeline.core.guard import redacted
from pipeline.core.layout_check import Mistake, check_layout, check_rules
from pipeline.core.layout_documents import parse_layout
from pipeline.core.layout_schema import layout_schema_document
from pipeline.core.layouts import Layout
from pipeline.drafting.document import document_of
from pipeline.drafting.draft import Draft, draft_layout, layout_name_from
from pipeline.errors import LayoutError, PermanentError
from pipeline.readers.auto import AUTO

app = typer.Typer(help="Layouts: how files are read.", no_args_is_help=True)

LayoutFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="NAME.toml")]


@app.command("list", epilog=examples("pantok layouts list", "pantok layouts list --stack prod"))
def list_layouts(as_json: JsonFlag = False, stack: StackOption = None) -> None:
    """Lists layouts: those of the deployment, if there is one, and those built in."""
    target = _deployment_if_any(stack)
    found = [("built in", name, built_in_layout(name) or b"") for name in built_in_names()]
    if target is not None:
        found = [(target.name, *each) for each in _own_documents(target)] + found
    rows = [_row(where, name, document) for where, name, document in found]
    if as_json:
        print_json(rows)
    else:
        columns = ("name", "version", "where", "description", "PAN columns")
        shown = [(*list(row.values())[:-1], ", ".join(row["pan_columns"])) for row in rows]
        table("layouts", columns, shown)


def _row(where: str, name: str, document: bytes) -> dict[str, Any]:
    try:
        layout = parse_layout(document, expected_name=name)
    except LayoutError:
        layout = None
    return {
        "name": name,
        "version": layout.version if layout else "",
        "where": where,
        "description": redacted(layout.description) if layout else "has mistakes: check it",
        "pan_columns": layout.pan_columns if layout else (),
    }


def _deployment_if_any(stack: str | None) -> Deployment | None:
    try:
        return deployment(stack)
    except PermanentError as error:
        if stack is not None or error.code != "no_stack":
            raise
        return None


def _own_documents(target: Deployment) -> list[tuple[str, bytes]]:
    bucket, prefix = _place(target)
    layouts = own_layouts(target)
    with translated("s3:ListObjectsV2"):
        pages = target.client("s3").get_paginator("list_objects_v2")
        keys = [
            item["Key"]
            for page in pages.paginate(Bucket=bucket, Prefix=f"{prefix}/", Delimiter="/")
            for item in page.get("Contents", [])
        ]
    files = [key.removeprefix(f"{prefix}/") for key in sorted(keys)]
    names = [
        file.removesuffix(".toml")
        for file in files
        if file.endswith(".toml") and file != FOLDERS_DOCUMENT
    ]
    return [(name, layouts.document(name) or b"") for name in names]


def own_layouts(target: Deployment) -> UriLayouts:
    """The layouts of a deployment, and behind them those built in."""
    return UriLayouts(target.outputs["LayoutsUri"], target.client("s3"))


@app.command(epilog=examples("pantok layouts show card-present > my-own.toml"))
def show(
    name: Annotated[str, typer.Argument(help="A layout's name.")],
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Prints a layout's document: the deployment's own, or the built-in one."""
    target = _deployment_if_any(stack)
    document = own_layouts(target).document(name) if target else built_in_layout(name)
    if document is None:
        raise PermanentError("unknown_layout", "see `pantok layouts list`")
    if as_json:
        print_json(parse_layout(document, name).model_dump(mode="json"))
    else:
        typer.echo(redacted(document.decode("utf-8", "replace")), nl=False)


@app.command(
    epilog=examples("pantok layouts check acme.toml", "pantok layouts check *.toml --json")
)
def check(
    files: Annotated[
        list[Path], typer.Argument(exists=True, dir_okay=False, help="NAME.toml, folders.toml")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Finds the mistakes of layouts, with line and remedy; ends with 1 if there are any."""
    found = [(file, _mistakes(file)) for file in files]
    if as_json:
        print_json([_report(file, mistakes) for file, mistakes in found])
    else:
        for file, mistakes in found:
            _print_mistakes(file, mistakes)
    if any(mistakes for _, mistakes in found):
        raise typer.Exit(1)


def _mistakes(file: Path) -> list[Mistake]:
    document = file.read_bytes()
    if file.name == FOLDERS_DOCUMENT:
        return check_rules(document)
    return check_layout(document, file.stem)


def _report(file: Path, mistakes: list[Mistake]) -> dict[str, Any]:
    return {
        "file": str(file),
        "is_valid": not mistakes,
        "mistakes": [
            {"line": each.line, "problem": each.problem, "fix": each.fix} for each in mistakes
        ],
    }


def _print_mistakes(file: Path, mistakes: list[Mistake]) -> None:
    if not mistakes:
        screen.print(f"{file.name}: no mistakes")
        return
    rows = [(each.line, each.problem, each.fix) for each in mistakes]
    table(file.name, ("line", "mistake", "what to do"), rows)


@app.command(
    epilog=examples(
        "pantok layouts new settlement.csv -o acme.toml",
        "pantok layouts new settlement.csv --name acme > acme.toml",
    )
)
def new(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file to read.")],
    name: Annotated[
        str | None, typer.Option(help="The layout's name. Default: the file's.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="NAME.toml to write.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Drafts a commented layout from a look at a file, to be edited and checked.

    It shows no values of the file: how cells look, and the last four digits of card numbers.
    """
    if output is not None and output.exists():
        raise PermanentError("file_exists", f"{output.name} is there: name another one")
    name = name or (output.stem if output else layout_name_from(file.name))
    with file.open("rb") as source:
        draft = draft_layout(source, name)
    document = document_of(draft)
    if mistakes := check_layout(document.encode(), name):
        raise LayoutError(tuple(each.problem for each in mistakes))
    if output is not None:
        output.write_text(document, encoding="utf-8")
        say(f"{output.name} written: edit it, then `pantok layouts check {output.name}`")
    if as_json:
        print_json(_summary(draft, document))
    elif output is None:
        typer.echo(document, nl=False)


def _summary(draft: Draft, document: str) -> dict[str, Any]:
    return {
        "name": draft.name,
        "format": dict(draft.settings),
        "rows_seen": draft.rows,
        "is_whole_file": draft.is_whole,
        "columns": [
            {"name": each.name, "role": each.column.role, "why": each.why} for each in draft.columns
        ],
        "document": document,
    }


@app.command(
    epilog=examples(
        "pantok layouts athena card-present --stack prod",
        "pantok layouts athena card-present --view",
        "pantok layouts athena card-present-json --json > table.json   # for aws glue create-table",
    )
)
def athena(
    name: Annotated[str, typer.Argument(help="A layout's name.")],
    view: Annotated[bool, typer.Option("--view", help="The view of committed jobs alone.")] = False,
    bucket: Annotated[
        str | None, typer.Option(help="The tokenized bucket. Default: the deployment's.")
    ] = None,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Prints the statement for a layout's table in Athena; with --json, what Glue takes."""
    target = deployment(stack) if bucket is None else _deployment_if_any(stack)
    layout = _layout_named(target, name)
    bucket = bucket or (target.outputs["TokenizedBucket"] if target else "")
    if as_json:
        print_json(glue_table(layout, bucket))
    else:
        typer.echo(view_statement(layout) if view else table_statement(layout, bucket))


def _layout_named(target: Deployment | None, name: str) -> Layout:
    document = own_layouts(target).document(name) if target else built_in_layout(name)
    if document is None:
        raise PermanentError("unknown_layout", "see `pantok layouts list`")
    return parse_layout(document, name)


@app.command(epilog=examples("pantok layouts schema > layout.schema.json"))
def schema() -> None:
    """Prints the grammar of layouts as JSON Schema."""
    typer.echo(layout_schema_document(), nl=False)


@app.command(
    epilog=examples(
        "pantok layouts add sample_data/layouts/acme.toml",
        "pantok layouts add folders.toml      # which folder has which layout",
    )
)
def add(file: LayoutFile, as_json: JsonFlag = False, stack: StackOption = None) -> None:
    """Checks a layout, or the rules for folders, and adds it; it holds for the next file."""
    target = deployment(stack)
    if file.name == FOLDERS_DOCUMENT:
        _add_rules(target, file, as_json=as_json)
        return
    layout = put_layout(target, file)
    if as_json:
        print_json({"name": layout.name, "pan_columns": layout.pan_columns})
    else:
        screen.print(f"layout {layout.name} added: upload with --layout {layout.name}")


def _add_rules(target: Deployment, file: Path, *, as_json: bool) -> None:
    document = file.read_bytes()
    rules = parse_folder_rules(document)
    for name in set(rules.layouts.values()) - {AUTO}:
        own_layouts(target).get(name)
    _put(target, FOLDERS_DOCUMENT, document)
    if as_json:
        print_json(dict(rules.layouts))
    else:
        table("folders", ("folder", "layout"), rules.layouts.items())


def put_layout(target: Deployment, file: Path) -> Layout:
    """Adds a layout; raises `LayoutError` when it has mistakes."""
    document = file.read_bytes()
    layout = parse_layout(document, expected_name=file.stem)
    _put(target, f"{layout.name}.toml", document)
    return layout


def _put(target: Deployment, name: str, document: bytes) -> None:
    bucket, prefix = _place(target)
    with translated("s3:PutObject"):
        target.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=document)


def _place(target: Deployment) -> tuple[str, str]:
    """Bucket and prefix of a deployment's layouts."""
    bucket, _, prefix = target.outputs["LayoutsUri"].removeprefix("s3://").partition("/")
    return bucket, prefix
