"""Private data of IPM messages as text, in which a card number can be told from its tag."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.guard import MIN_RUN_DIGITS, find_pans
from pipeline.core.guard_columns import suspects_in
from pipeline.core.ipm_elements import PDS_LENGTH_DIGITS, PDS_TAG_DIGITS

_HEAD = PDS_TAG_DIGITS + PDS_LENGTH_DIGITS


def with_pans_set_off(cells: pa.Array) -> pa.Array:
    """The cells (`string`), with a space around each subelement in which a card number stands.

    Tag and length of a subelement are digits too: without the space they would hide the number
    from whoever looks for one.
    """
    places, suspects = suspects_in(cells, MIN_RUN_DIGITS)
    if not len(places):
        return cells
    texts = pa.array(list(map(_set_off, suspects.to_pylist())), pa.string())
    mask = pc.is_in(pa.array(range(len(cells)), pa.uint64()), value_set=places.cast(pa.uint64()))
    return pc.replace_with_mask(cells, mask, texts)


def _set_off(text: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(text):
        start = at + _HEAD
        size = text[at + PDS_TAG_DIGITS : start]
        if not (size.isascii() and size.isdigit()):  # no private data from here on
            return "".join([*parts, text[at:]])
        end = start + int(size)
        value = text[start:end]
        parts.append(text[at:start] + (f" {value} " if find_pans(value) else value))
        at = end
    return "".join(parts)
