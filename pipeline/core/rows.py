"""Which rows of a record batch go on, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import Column
from pipeline.core.guard_columns import find_in_column
from pipeline.core.known_pans import KnownPans
from pipeline.core.layouts import Layout
from pipeline.core.pans import NormalisedPans, luhn_failures, normalise
from pipeline.core.scrub import cast_column
from pipeline.core.tracks import cells_with_tracks, cells_without_tracks

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
    columns by name. `encoded`: the PAN columns behind one another, each PAN once in its dictionary
    (`dictionary<int32, string>`). `customer_ids`: `string`, where the layout names such a column.
    `known_pans`: every PAN of the record batch (`string`), those of rows that were left out
    included. `passed_on`: by PAN column, the tokens that stood there instead of PANs. `faults`: one
    for each row that was left out. `index` (`int64`): where in the batch each row stood.
    """

    index: pa.Array
    pans: Mapping[str, pa.Array] = field(repr=False)
    passed_on: Mapping[str, pa.Array]
    kept: Mapping[str, pa.Array] = field(repr=False)
    encoded: pa.DictionaryArray = field(repr=False)
    customer_ids: pa.Array | None = field(repr=False)
    known_pans: pa.Array = field(repr=False)
    faults: tuple[Fault, ...]

    @property
    def luhn_failed(self) -> int:
        """How many PANs of these rows have a wrong check digit."""
        return int(_luhn_failed(self.encoded).true_count)


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
    encoded = _encoded(pans)
    customer_ids = _customer_ids(columns, layout, encoded.dictionary, faults)
    everything = CheckedRows(
        index=pa.arange(0, columns.num_rows),
        pans=pans,
        passed_on=passed_on,
        kept=kept,
        encoded=encoded,
        customer_ids=customer_ids,
        known_pans=encoded.dictionary,
        faults=faults.in_order(),
    )
    return _without(everything, faults.good_rows()) if everything.faults else everything


def _without(checked: CheckedRows, good: pa.Array) -> CheckedRows:
    """The rows that are good."""
    pans = {name: array.filter(good) for name, array in checked.pans.items()}
    ids = checked.customer_ids
    return replace(
        checked,
        index=checked.index.filter(good),
        pans=pans,
        passed_on={name: array.filter(good) for name, array in checked.passed_on.items()},
        kept={name: array.filter(good) for name, array in checked.kept.items()},
        encoded=_encoded(pans),
        customer_ids=None if ids is None else ids.filter(good),
    )


def _encoded(pans: Mapping[str, pa.Array]) -> pa.DictionaryArray:
    columns = list(pans.values()) or [pa.array([], pa.string())]
    return pa.concat_arrays(columns).dictionary_encode()


class _Faults:
    """The first fault of each row."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._by_index: dict[int, Fault] = {}

    def add(self, indices: Iterable[int], reasons: Iterable[str], column: str) -> None:
        for index, reason in zip(indices, reasons, strict=True):
            self._by_index.setdefault(index, Fault(index, reason, column))

    def add_all(self, indices: Sequence[int], reason: str, column: str) -> None:
        self.add(indices, [reason] * len(indices), column)

    def good_rows(self) -> pa.Array:
        bad = pa.array(list(self._by_index), pa.int64())
        return pc.invert(pc.is_in(pa.arange(0, self._rows), value_set=bad))

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
    return _luhn_failed(digits.dictionary_encode())


def _luhn_failed(encoded: pa.DictionaryArray) -> pa.Array:
    failures = luhn_failures(encoded.dictionary)
    return pc.fill_null(failures.take(encoded.indices), False)


def _kept_column(
    cells: pa.Array, name: str, column: Column, layout: Layout, faults: _Faults
) -> pa.Array:
    typed, wrong = cast_column(cells, column, layout.format.null_values)
    bad = pc.indices_nonzero(wrong)
    faults.add(bad.to_pylist(), [f"invalid_{column.type.kind}"] * len(bad), name)
    if column.role == "text":
        return cells_without_tracks(typed)
    if column.type.kind == "string":
        faults.add_all(cells_with_tracks(typed), "track_data", name)
    return typed


def _customer_ids(
    columns: pa.RecordBatch, layout: Layout, known_pans: pa.Array, faults: _Faults
) -> pa.Array | None:
    """The column that goes into the vault's metadata, in clear: a PAN in it rejects the row."""
    name = layout.options.customer_id
    if name is None:
        return None
    cells = columns.column(name)
    faults.add_all(cells_with_tracks(cells), "track_data", name)
    hits = find_in_column(cells, KnownPans(known_pans)).hits
    faults.add_all(list(hits), "guard_hit", name)
    long = pc.indices_nonzero(pc.greater(pc.binary_length(cells), MAX_CUSTOMER_ID_BYTES))
    faults.add_all(long.to_pylist(), "customer_id_too_long", name)
    return cells
