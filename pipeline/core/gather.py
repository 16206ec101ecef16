"""The PANs of a record batch, each once, and where each of them stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.rows import CheckedRows
from pipeline.model import Pans


@dataclass(frozen=True, slots=True)
class GatheredPans:
    """PANs that need a token, and by PAN column which of them each row holds (`int64`, null: none).

    `in_text` says which of them a PAN found inside text is.
    """

    pans: Pans
    indices: Mapping[str, pa.Array]
    in_text: Mapping[bytes, int] = field(repr=False)

    def first_rows(self, wanted: Sequence[int]) -> list[int | None]:
        """The row where each of the wanted PANs stands first; None for one found in text only."""
        sought = pa.array(wanted, pa.int64())
        places = [pc.index_in(sought, value_set=each) for each in self.indices.values()]
        rows: list[int | None] = pc.min_element_wise(*places).to_pylist()
        return rows


def gather(checked: CheckedRows, found_in_text: Iterable[bytes], *, one_time: bool) -> GatheredPans:
    """Distinct PANs of all PAN columns and texts; every occurrence by itself when `one_time`."""
    combined = pa.concat_arrays(list(checked.pans.values()))
    digits, indices = _occurrences(combined) if one_time else _distinct(combined)
    position = {} if one_time else {pan: at for at, pan in enumerate(digits)}
    in_text: dict[bytes, int] = {}
    for pan in found_in_text:
        if pan not in in_text:
            in_text[pan] = position.get(pan, len(digits))
            if in_text[pan] == len(digits):
                digits.append(pan)
    rows = len(checked.index)
    by_column = {name: indices.slice(at * rows, rows) for at, name in enumerate(checked.pans)}
    return GatheredPans(Pans(digits), by_column, in_text)


def _distinct(combined: pa.Array) -> tuple[list[bytes], pa.Array]:
    encoded = combined.dictionary_encode()
    digits: list[bytes] = encoded.dictionary.cast(pa.binary()).to_pylist()
    return digits, encoded.indices.cast(pa.int64())


def _occurrences(combined: pa.Array) -> tuple[list[bytes], pa.Array]:
    valid = pc.is_valid(combined)
    ordinals = pc.subtract(pc.cumulative_sum(valid.cast(pa.int64())), 1)
    digits: list[bytes] = combined.drop_null().cast(pa.binary()).to_pylist()
    return digits, pc.if_else(valid, ordinals, pa.scalar(None, pa.int64()))
