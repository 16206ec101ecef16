"""The PANs of a record batch, each once, and where each of them stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.rows import CheckedRows

MAX_MET_PANS = 250_000  # remembered at 50 bytes each


@dataclass(frozen=True, slots=True)
class GatheredPans:
    """PANs that need a token (`digits`, Arrow `string`), and by PAN column which of them each row
    holds (`indices`, null: none).

    `in_text` says which of them a PAN found inside text is.
    """

    digits: pa.Array = field(repr=False)
    indices: Mapping[str, pa.Array]
    in_text: Mapping[bytes, int] = field(repr=False)

    def first_rows(self, wanted: pa.Array) -> pa.Array:
        """The row where each of the wanted PANs stands first; null for one found in text only."""
        wanted = wanted.cast(pa.int32())
        places = [pc.index_in(wanted, value_set=each) for each in self.indices.values()]
        return pc.min_element_wise(pa.nulls(len(wanted), pa.int32()), *places)


def gather(checked: CheckedRows, found_in_text: Iterable[bytes], *, one_time: bool) -> GatheredPans:
    """Distinct PANs of all PAN columns and texts; every occurrence by itself when `one_time`."""
    encoded = checked.encoded
    if one_time:
        digits, indices = _occurrences(encoded.dictionary_decode())
    else:
        digits, indices = encoded.dictionary, encoded.indices
    in_text = list(dict.fromkeys(found_in_text))
    places: dict[bytes, int] = {}
    if in_text:
        digits, places = _with_text(digits, in_text, shared=not one_time)
    rows = len(checked.index)
    by_column = {name: indices.slice(at * rows, rows) for at, name in enumerate(checked.pans)}
    return GatheredPans(digits, by_column, places)


def _occurrences(combined: pa.Array) -> tuple[pa.Array, pa.Array]:
    valid = pc.is_valid(combined)
    ordinals = pc.subtract(pc.cumulative_sum(valid.cast(pa.int32())), 1)
    return combined.drop_null(), pc.if_else(valid, ordinals, pa.scalar(None, pa.int32()))


def _with_text(
    digits: pa.Array, in_text: list[bytes], *, shared: bool
) -> tuple[pa.Array, dict[bytes, int]]:
    """The PANs of the columns and those of the texts, and where the latter are among them."""
    texts = pa.array([pan.decode("ascii") for pan in in_text], pa.string())
    found = pc.index_in(texts, value_set=digits) if shared else pa.nulls(len(texts), pa.int32())
    digits = pa.concat_arrays([digits, texts.filter(pc.is_null(found))])
    fresh = iter(range(len(digits) - found.null_count, len(digits)))
    places = [next(fresh) if at is None else at for at in found.to_pylist()]
    return digits, dict(zip(in_text, places, strict=True))


class MetPans:
    """The PANs of a chunk that have been met so far, with their tokens.

    Most PANs stand in many record batches of a file; this spares them being fingerprinted and
    looked up again. It lives as long as its chunk is worked off, and forgets all when it is full.
    """

    def __init__(self, most: int = MAX_MET_PANS) -> None:
        self._most = most
        self._digits = pa.array([], pa.string())
        self._tokens = pa.array([], pa.string())

    def tokens(self, digits: pa.Array) -> pa.Array:
        """The token of each PAN, null where it has not been met.

        The few are told apart once and all that were met are held against them: the other way
        round takes six times as long.
        """
        places = pc.index_in(self._digits, value_set=digits)
        met = pc.indices_nonzero(pc.is_valid(places))
        if not len(met):
            return pa.nulls(len(digits), pa.string())
        return pc.scatter(self._tokens.take(met), places.take(met), max_index=len(digits) - 1)

    def meet(self, digits: pa.Array, tokens: pa.Array) -> None:
        """Remembers PANs that were not met before."""
        if len(self._digits) + len(digits) > self._most:
            self._digits, self._tokens = digits[:0], tokens[:0]
        self._digits = pa.concat_arrays([self._digits, digits])
        self._tokens = pa.concat_arrays([self._tokens, tokens])
