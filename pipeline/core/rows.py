"""Which rows of a record batch go on, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.guard import KnownPans, find_in_column
from pipeline.core.layouts import Column, Layout
from pipeline.core.pans import NormalisedPans, luhn_failures, normalise
from pipeline.core.scrub import cast_column

MAX_CUSTOMER_ID_BYTES = 256  # it stands in every vault row, which is to stay below 1 KB


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one row (by its index in the record batch) is rejected, and in which column."""

    index: int
    reason: str
    column: str | None


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """The rows of a record batch that are fit to be tokenized, still in input order.

    `pans`: digits (`string`, null for an empty cell that is kept) by PAN column. `kept`: typed
    columns by name. `customer_ids`: `string`, where the layout names such a column. `known_pans`:
    every PAN of the record batch, those of rows that were left out included. `passed_on`: by PAN
    column, the tokens that stood there instead of PANs. `faults`: one for each row that was left
    out. `index` (`int64`): where in the batch each row stood.
    """

    index: pa.Array
    pans: Mapping[str, pa.Array] = field(repr=False)
    passed_on: Mapping[str, pa.Array]
    kept: Mapping[str, pa.Array] = field(repr=False)
    customer_ids: pa.Array | None = field(repr=False)
    known_pans: list[bytes] = field(repr=False)
    faults: tuple[Fault, ...]


def check_rows(columns: pa.RecordBatch, layout: Layout) -> CheckedRows:
    """Normalises the PAN columns, casts the kept ones, and leaves out the rows where that fails."""
    faults = _Faults(columns.num_rows)
    pans: dict[str, pa.Array] = {}
    passed_on: dict[str, pa.Array] = {}
    kept: dict[str, pa.Array] = {}
    for name in columns.schema.names:
        column = layout.columns.get(name)
        if column is None or column.role == "drop":
            continue
        if column.role == "pan":
            normalised = _pan_column(columns.column(name), name, column, faults)
            pans[name], passed_on[name] = normalised.digits, normalised.tokens
        else:
            kept[name] = _kept_column(columns.column(name), name, column, layout, faults)
    known_pans = _distinct(pans)
    customer_ids = _customer_ids(columns, layout, known_pans, faults)
    good = faults.good_rows()
    return CheckedRows(
        index=pc.indices_nonzero(good).cast(pa.int64()),
        pans={name: array.filter(good) for name, array in pans.items()},
        passed_on={name: array.filter(good) for name, array in passed_on.items()},
        kept={name: array.filter(good) for name, array in kept.items()},
        customer_ids=None if customer_ids is None else customer_ids.filter(good),
        known_pans=known_pans,
        faults=faults.in_order(),
    )


class _Faults:
    """The first fault of each row."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._by_index: dict[int, Fault] = {}

    def add(self, indices: Iterable[int], reasons: Iterable[str], column: str) -> None:
        for index, reason in zip(indices, reasons, strict=True):
            self._by_index.setdefault(index, Fault(index, reason, column))

    def good_rows(self) -> pa.Array:
        bad = pa.array(list(self._by_index), pa.int64())
        return pc.invert(pc.is_in(pa.array(range(self._rows), pa.int64()), value_set=bad))

    def in_order(self) -> tuple[Fault, ...]:
        return tuple(self._by_index[index] for index in sorted(self._by_index))


def _pan_column(cells: pa.Array, name: str, column: Column, faults: _Faults) -> NormalisedPans:
    normalised = normalise(
        cells,
        keep_empty=column.empty == "keep",
        pad=column.pad,
        digits=column.digits,
        extract=column.extract,
    )
    bad = pc.indices_nonzero(pc.is_valid(normalised.reasons))
    faults.add(bad.to_pylist(), normalised.reasons.take(bad).to_pylist(), name)
    if column.luhn == "require":
        failed = pc.indices_nonzero(luhn_failed_cells(normalised.digits))
        faults.add(failed.to_pylist(), ["pan_luhn"] * len(failed), name)
    return normalised


def luhn_failed_cells(digits: pa.Array) -> pa.Array:
    """Arrow `bool`: the cells whose check digit is wrong; false where there is no PAN."""
    encoded = digits.dictionary_encode()
    failures = luhn_failures(encoded.dictionary.cast(pa.binary()).to_pylist())
    return pc.fill_null(pa.array(failures, pa.bool_()).take(encoded.indices), False)


def _kept_column(
    cells: pa.Array, name: str, column: Column, layout: Layout, faults: _Faults
) -> pa.Array:
    typed, wrong = cast_column(cells, column, layout.format.null_values)
    bad = pc.indices_nonzero(wrong)
    faults.add(bad.to_pylist(), [f"invalid_{column.type.kind}"] * len(bad), name)
    return typed


def _distinct(pans: Mapping[str, pa.Array]) -> list[bytes]:
    combined = pa.concat_arrays(list(pans.values()))
    digits: list[bytes] = combined.drop_null().unique().cast(pa.binary()).to_pylist()
    return digits


def _customer_ids(
    columns: pa.RecordBatch, layout: Layout, known_pans: list[bytes], faults: _Faults
) -> pa.Array | None:
    """The column that goes into the vault's metadata, in clear: a PAN in it rejects the row."""
    name = layout.options.customer_id
    if name is None:
        return None
    cells = columns.column(name)
    hits = find_in_column(cells, KnownPans(known_pans)).hits
    faults.add(hits, ["guard_hit"] * len(hits), name)
    long = pc.indices_nonzero(pc.greater(pc.binary_length(cells), MAX_CUSTOMER_ID_BYTES))
    faults.add(long.to_pylist(), ["customer_id_too_long"] * len(long), name)
    return cells
