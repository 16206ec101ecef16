"""A search for card numbers in what is supposed to hold none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import smart_open
import typer

from pipeline.aws.faults import translated
from pipeline.cli.output import (
    JsonFlag,
    StackOption,
    examples,
    print_json,
    progress_bar,
    say,
    table,
)
from pipeline.cli.session import deployment
from pipeline.core import guard
from pipeline.core.leaks import Leak, LeakScanner
from pipeline.errors import PermanentError

BLOCK_BYTES = 32 * 1024 * 1024
OVERLAP_BYTES = 4096  # a card number that two blocks share is whole in the second one
SHOWN_LEAKS = 100
NAMELESS = "[a file whose name holds a card number]"
_WHOLE = (b"PAR1", b"\x1f\x8b")  # Parquet and gzip make sense as a whole only

EXAMPLES = examples(
    "pantok scan /var/log/app.log exports/",
    "pantok scan s3://my-tokenized-bucket/data/",
    "pantok scan dump.json --pans canaries.txt --only-known",
)


def scan(
    places: Annotated[
        list[str], typer.Argument(metavar="PATH|URI…", help="Files, folders, s3://.")
    ],
    pans: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Card numbers to look for, one a line."),
    ] = None,
    only_known: Annotated[
        bool, typer.Option("--only-known", help="Only those of --pans, nothing that looks alike.")
    ] = False,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Finds card numbers in text, JSON, logs, gzip and Parquet; ends with 1 if there are any.

    Also grouped, escaped, percent-encoded, in base64, as UTF-16, as 64-bit numbers when they are
    known, and in the names of files. It prints where they are, never what they are.
    """
    if only_known and pans is None:
        raise typer.BadParameter("--only-known needs --pans")
    known = [line.strip().encode() for line in pans.read_text().splitlines()] if pans else []
    scanner = LeakScanner([pan for pan in known if pan], card_like=not only_known)
    client = deployment(stack).client("s3") if any(_is_s3(place) for place in places) else None
    found = list(_found(scanner, places, client))
    if as_json:
        print_json([_row(place, leak) for place, leak in found])
    else:
        rows = [tuple(_row(place, leak).values()) for place, leak in found[:SHOWN_LEAKS]]
        table("card numbers", ("where", "form", "byte", "known"), rows)
        say(f"{len(found)} found")
    if found:
        raise typer.Exit(1)


def _row(place: str, leak: Leak) -> dict[str, Any]:
    return {"where": place, "form": leak.form, "byte": leak.offset, "known": leak.is_known}


def _in_name(scanner: LeakScanner, uri: str) -> tuple[str, list[Leak]]:
    """What can be printed of a file's name, and the card numbers in it."""
    leaks = [replace(leak, form="name") for leak in scanner.leaks_in(_bytes(uri))]
    name = guard.replaced(uri, scanner.hits_in(uri), lambda _: guard.REDACTED)
    return NAMELESS if scanner.leaks_in(_bytes(name)) else name, leaks


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _found(scanner: LeakScanner, places: list[str], client: Any) -> Iterator[tuple[str, Leak]]:
    with progress_bar() as progress:
        task = progress.add_task("files", total=None, note="")
        for place in places:
            for uri in _files(place, client):
                name, leaks = _in_name(scanner, uri)
                progress.update(task, advance=1, note=name)
                for leak in chain(leaks, _leaks_in_file(scanner, uri, client)):
                    yield name, leak


def _is_s3(place: str) -> bool:
    return place.startswith("s3://")


def _files(place: str, client: Any) -> Iterator[str]:
    if _is_s3(place):
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        with translated("s3:ListObjectsV2"):
            for page in client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix
            ):
                yield from (f"s3://{bucket}/{item['Key']}" for item in page.get("Contents", []))
        return
    path = Path(place)
    if not path.exists():
        raise PermanentError("no_such_file", place)
    if path.is_file():
        yield place
    yield from (str(each) for each in sorted(path.rglob("*")) if each.is_file())


def _leaks_in_file(scanner: LeakScanner, uri: str, client: Any) -> Iterator[Leak]:
    params = {"client": client} if _is_s3(uri) else {}
    with smart_open.open(uri, "rb", compression="disable", transport_params=params) as stream:
        block, offset = stream.read(BLOCK_BYTES), 0
        if block.startswith(_WHOLE):
            block += stream.read()
        seen: set[tuple[str, int]] = set()
        while block:
            for leak in scanner.leaks_in(block):
                at = (leak.form, offset + leak.offset)
                if at not in seen:
                    seen.add(at)
                    yield Leak(leak.form, offset + leak.offset, leak.is_known)
            fresh = stream.read(BLOCK_BYTES)
            offset += len(block) - min(OVERLAP_BYTES, len(block))
            block = block[-OVERLAP_BYTES:] + fresh if fresh else b""
