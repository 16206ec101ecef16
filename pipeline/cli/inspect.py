"""A dry run: what will happen to a file, before anything is touched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import smart_open
import typer

from pipeline.aws.faults import translated
from pipeline.aws.layout_catalogue import built_in_layout
from pipeline.cli.layouts import own_layouts
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
from pipeline.core.fingerprints import FINGERPRINT_KEY_BYTES, Fingerprinter
from pipeline.core.layout_documents import parse_layout
from pipeline.core.layouts import Layout
from pipeline.core.prices import PRICES_AS_OF
from pipeline.errors import PermanentError, TransientError
from pipeline.inspection import ColumnFacts, Inspection, inspect_file
from pipeline.readers.auto import AUTO

WHOLE_FILE_BYTES = 256 * 1024 * 1024  # a larger file is judged by its beginning
SAMPLED_BYTES = 64 * 1024 * 1024
SHOWN_ROWS = 5

EXAMPLES = examples(
    "pantok inspect settlement.csv --layout card-present",
    "pantok inspect settlement.csv --layout acme.toml      # a layout that is not added yet",
    "pantok inspect s3://my-bucket/large.csv --sample-mb 16 --json",
)


def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE|URI", help="A file, or s3://.")],
    layout: Annotated[
        str | None,
        typer.Option(help="A layout's name, or a TOML file. Default: find the PANs."),
    ] = None,
    sample_mb: Annotated[
        int | None,
        typer.Option("--sample-mb", min=1, help="Read so much of it. Default: all, up to 256 MB."),
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Read all of it, however large.")] = False,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Says what would happen to a file: columns, rejects, cards, time and dollars. A dry run.

    It touches no vault, and AWS only for a file in S3 or a layout of a deployment. Values are shown
    masked. Ends with 1 if the file as a whole would be refused.
    """
    found = _layout(layout, stack)
    with _opened(file, stack) as (source, size_bytes), _progress(size_bytes) as report:
        seen = inspect_file(
            source,
            size_bytes,
            found,
            Fingerprinter(os.urandom(FINGERPRINT_KEY_BYTES), version=0),
            max_bytes=_max_bytes(size_bytes, sample_mb, whole=whole),
            report=report,
        )
    if as_json:
        print_json(document_of(seen))
    else:
        _print(seen)
    if seen.refused:
        raise typer.Exit(1)


def _layout(name: str | None, stack: str | None) -> Layout | None:
    if name is None or name == AUTO:
        return None
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise PermanentError("no_such_file", name)
        return parse_layout(path.read_bytes(), path.stem)
    document = built_in_layout(name) if stack is None else None
    return parse_layout(document, name) if document else own_layouts(deployment(stack)).get(name)


@contextmanager
def _opened(file: str, stack: str | None) -> Iterator[tuple[BinaryIO, int]]:
    if not file.startswith("s3://"):
        path = Path(file)
        if not path.is_file():
            raise PermanentError("no_such_file", file)
        with path.open("rb") as source:
            yield source, path.stat().st_size
        return
    client = deployment(stack).client("s3")
    bucket, _, key = file.removeprefix("s3://").partition("/")
    with translated("s3:HeadObject"):
        size_bytes = client.head_object(Bucket=bucket, Key=key)["ContentLength"]
    params = {"client": client}
    try:
        with smart_open.open(file, "rb", compression="disable", transport_params=params) as source:
            yield source, size_bytes
    except OSError as error:  # what smart-open makes of AWS's errors
        raise TransientError("aws_error", f"s3:GetObject: {type(error).__name__}") from None


@contextmanager
def _progress(size_bytes: int) -> Iterator[Callable[[int], None]]:
    with progress_bar(in_bytes=True) as progress:
        task = progress.add_task("reading", total=size_bytes, note="")
        yield lambda advance: progress.advance(task, advance)


def _max_bytes(size_bytes: int, sample_mb: int | None, *, whole: bool) -> int | None:
    if whole:
        return None
    if sample_mb is not None:
        return sample_mb * 1024 * 1024
    return None if size_bytes <= WHOLE_FILE_BYTES else SAMPLED_BYTES


def document_of(seen: Inspection) -> dict[str, Any]:
    """All that was found, for programs."""
    tally, forecast = seen.tally, seen.forecast
    return {
        "layout": seen.layout.name,
        "layout_version": seen.layout.version or None,
        "layout_sha256": seen.layout.sha256 or None,
        "format": seen.layout.format.model_dump(mode="json"),
        "size_bytes": seen.size_bytes,
        "bytes_read": seen.bytes_read,
        "is_whole_file": seen.is_whole,
        "refused": {"reason": seen.refused[0], "detail": seen.refused[1]} if seen.refused else None,
        "rows_read": tally.rows_read,
        "rows_accepted": tally.rows_written,
        "rows_rejected": tally.rows_rejected,
        "rejects_by_reason": dict(sorted(tally.rejects.items())),
        "rejected_rows": dict(sorted(tally.rejected_rows.items())),
        "luhn_failed": tally.luhn_failed,
        "pans_distinct": seen.pans_distinct,
        "pan_cells_by_scheme": dict(seen.cells_by_scheme),
        "pans_distinct_by_scheme": dict(seen.pans_by_scheme),
        "guard": {"cells_scanned": tally.guard_cells_scanned, "hits": tally.guard_hits},
        "columns": [_column(each) for each in seen.columns],
        "forecast": {
            "rows": seen.rows_in_all,
            "rows_are_exact": seen.is_whole,
            "cards": seen.pans_in_all,
            "cards_are_exact": seen.is_whole,
            "new_cards_at_most": seen.pans_in_all,
            "seconds": round(forecast.seconds, 2),
            "chunks": forecast.chunks,
            "invocations": forecast.invocations,
            "aws_calls": forecast.aws_calls,
            "estimated_cost_usd": forecast.cost_usd,
            "prices_as_of": PRICES_AS_OF,
        },
    }


def _column(each: ColumnFacts) -> dict[str, Any]:
    return {
        "name": each.name,
        "role": each.role,
        "type": each.type or None,
        "filled": each.filled,
        "examples_masked": each.examples,
        "luhn_failed": each.luhn_failed,
        "guard_hits": each.guard_hits,
        "is_sensitive": each.is_sensitive,
    }


def _print(seen: Inspection) -> None:
    table(
        f"columns, read by layout {seen.layout.name}",
        ("column", "becomes", "type", "filled", "Luhn failures", "guard hits", "looks like"),
        [_column_row(each) for each in seen.columns],
    )
    _print_rejects(seen)
    table(
        "card numbers",
        ("scheme", "cells", "different"),
        [
            (name, count, seen.pans_by_scheme.get(name, 0))
            for name, count in seen.cells_by_scheme.items()
        ],
    )
    facts("what will happen", _pairs(seen))
    if seen.refused:
        say(f"The whole file will be refused: {seen.refused[0]}: {seen.refused[1]}")


def _column_row(each: ColumnFacts) -> tuple[object, ...]:
    becomes = {
        "pan": "token and last4",
        "keep": "kept",
        "text": "kept, PANs inside tokenized",
        "drop": "dropped",
        "not named": "dropped: not named",
    }[each.role]
    if each.is_sensitive:
        becomes = "dropped: sensitive authentication data"
    counts = (each.filled, each.luhn_failed, each.guard_hits)
    return (each.name, becomes, each.type, *counts, "  ".join(each.examples))


def _print_rejects(seen: Inspection) -> None:
    if not seen.tally.rejects:
        return
    rows = [
        (reason, count, ", ".join(map(str, seen.tally.rejected_rows[reason][:SHOWN_ROWS])))
        for reason, count in seen.tally.rejects.most_common()
    ]
    table("rows that will be rejected", ("reason", "rows", "the first are"), rows)


def _pairs(seen: Inspection) -> Mapping[str, object]:
    tally, forecast = seen.tally, seen.forecast
    about = "" if seen.is_whole else "about "
    share = "all" if seen.is_whole else f"the first {seen.bytes_read / seen.size_bytes:.1%}"
    calls = {
        f"{service}:{operation}": count
        for service, operations in forecast.aws_calls.items()
        for operation, count in operations.items()
        if count
    }
    return {
        "format": f"{seen.layout.format.type}",
        "read": f"{share} of {seen.size_bytes:,} bytes: {tally.rows_read:,} rows = "
        f"{tally.rows_written:,} accepted + {tally.rows_rejected:,} rejected",
        "rows": f"{about}{seen.rows_in_all:,}",
        "cards": f"{about}{seen.pans_in_all:,} different",
        "new cards": f"at most {about}{seen.pans_in_all:,}: the vault is not asked which are known",
        "Luhn failures": tally.luhn_failed,
        "guard": f"{tally.guard_cells_scanned:,} cells, {tally.guard_hits:,} hits",
        "worker": f"about {forecast.seconds:,.1f} seconds in {forecast.invocations:,} invocations",
        "AWS calls": ", ".join(f"{name} {count:,}" for name, count in calls.items()),
        "estimated cost": f"at most ${forecast.cost_usd:.6f} (prices of {PRICES_AS_OF})",
    }
