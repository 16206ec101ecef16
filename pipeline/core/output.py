"""The scrubbed table: tokens and last4 in the place of PANs, typed columns beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import Column
from pipeline.core.gather import GatheredPans
from pipeline.core.guard import REDACTED, Hit
from pipeline.core.guard_columns import ColumnScan, find_in_column, replace_hits
from pipeline.core.known_pans import KnownPans
from pipeline.core.layouts import Layout
from pipeline.core.rows import CheckedRows
from pipeline.core.scrub import arrow_type, last4
from pipeline.core.text_pans import find_in_text_column

TextHits = Mapping[str, Mapping[int, list[Hit]]]


def output_schema(file_columns: Sequence[str], layout: Layout) -> pa.Schema:
    """`<pan column>_token`, `<pan column>_last4` (`string`) and the kept columns, in file order."""
    fields: list[tuple[str, pa.DataType]] = []
    for name in file_columns:
        column = layout.columns.get(name)
        if column is None or column.role == "drop":
            continue
        if column.role == "pan":
            fields += [(f"{name}_token", pa.string()), (f"{name}_last4", pa.string())]
        else:
            fields.append((name, arrow_type(column.type)))
    return pa.schema(fields)


def columns_by_fate(file_columns: Sequence[str], layout: Layout) -> dict[str, Sequence[str]]:
    """What the receipt says about the file's columns."""
    roles = {
        name: layout.columns[name].role if name in layout.columns else "drop"
        for name in file_columns
    }
    return {
        "kept": [name for name, role in roles.items() if role in ("keep", "text")],
        "tokenized": [name for name, role in roles.items() if role == "pan"],
        "dropped": [name for name, role in roles.items() if role == "drop"],
    }


def has_text_role(column: Column, layout: Layout) -> bool:
    """Whether PANs inside this column's cells are replaced by their tokens."""
    if column.role == "text":
        return True
    return (
        column.role == "keep"
        and column.type.kind == "string"
        and layout.options.guard_action == "tokenize"
    )


def find_in_text(checked: CheckedRows, layout: Layout, known: KnownPans) -> TextHits:
    """The PANs inside the text columns, by column and row.

    What the words beside it show to be a PAN in one cell is one in all others too, whatever the
    words there say: so PANs that were found are known in a second search.
    """
    found = _search_text(checked, layout, known)
    digits = set(digits_of(found)) if found else set()
    new = [pan for pan in digits if not known.has(pan)]
    return _search_text(checked, layout, known.and_also(new)) if new else found


def _search_text(checked: CheckedRows, layout: Layout, known: KnownPans) -> TextHits:
    found: dict[str, Mapping[int, list[Hit]]] = {}
    for name, cells in checked.kept.items():
        column = layout.columns[name]
        if column.role == "text":
            found[name] = find_in_text_column(cells, known)
        elif has_text_role(column, layout):
            found[name] = find_in_column(cells, known, full=column.guard == "full").hits
    return found


def digits_of(text_hits: TextHits) -> list[bytes]:
    """The PANs that were found in text, repetitions included."""
    return [hit.digits for rows in text_hits.values() for hits in rows.values() for hit in hits]


def scrubbed(
    checked: CheckedRows,
    gathered: GatheredPans,
    text_hits: TextHits,
    tokens: pa.Array,
    schema: pa.Schema,
) -> pa.Table:
    """The rows with every PAN replaced by its token."""

    def token_of(hit: Hit) -> str:
        return str(tokens[gathered.in_text[hit.digits]])

    arrays: dict[str, pa.Array] = {}
    for name, digits in checked.pans.items():
        minted = tokens.take(gathered.indices[name])
        arrays[f"{name}_token"] = pc.coalesce(checked.passed_on[name], minted)
        arrays[f"{name}_last4"] = last4(digits)
    for name, cells in checked.kept.items():
        hits = dict(text_hits.get(name, {}))
        arrays[name] = replace_hits(cells, hits, token_of)
    return pa.table([arrays[name] for name in schema.names], schema=schema)


def guard_columns(table: pa.Table, layout: Layout, known: KnownPans) -> dict[str, ColumnScan]:
    """What the guard finds in the kept columns of a scrubbed table.

    Free text is held against known PANs only: what else looks like one has been judged by its
    surroundings before.
    """
    return {
        name: find_in_column(
            table.column(name).combine_chunks(),
            known,
            full=_is_guarded_in_full(layout.columns[name]),
        )
        for name in guarded_names(table.schema, layout)
    }


def _is_guarded_in_full(column: Column) -> bool:
    return column.role != "text" and column.guard == "full"


def guarded_names(schema: pa.Schema, layout: Layout) -> list[str]:
    """The output columns that come from the file as they were."""
    return [
        name
        for name in schema.names
        if name in layout.columns and layout.columns[name].role in ("keep", "text")
    ]


def redact(
    table: pa.Table, hits: Mapping[str, dict[int, list[Hit]]]
) -> tuple[pa.Table, dict[str, dict[int, list[Hit]]]]:
    """The table with the hits in its string columns marked, and the hits in other columns."""
    left: dict[str, dict[int, list[Hit]]] = {}
    for name, found in hits.items():
        at = table.schema.get_field_index(name)
        if not pa.types.is_string(table.schema.field(at).type):
            left[name] = found
            continue
        cells = replace_hits(table.column(at).combine_chunks(), found, lambda _: REDACTED)
        table = table.set_column(at, table.schema.field(at), cells)
    return table, left


def without_rows(table: pa.Table, rows: Sequence[int]) -> pa.Table:
    """The table less the rows of these indices."""
    if not rows:
        return table
    everything = pa.arange(0, table.num_rows)
    return table.filter(pc.invert(pc.is_in(everything, value_set=pa.array(rows, pa.int64()))))
