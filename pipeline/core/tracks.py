"""Full track data inside the cells of a file: sensitive, and not to be kept (PCI DSS 3.3.1).

ISO/IEC 7813: track 1 is `%B<PAN>^<name>^<YYMM><service code>…`, track 2 `;<PAN>=<YYMM><service
code>…`, where chips and messages write D for `=`. An expiry alone behind a PAN is no track.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.pans import has_issuer_prefix

REMOVED = "[removed]"
LEAST_TRACK_CHARACTERS = 20  # 12 digits, a separator, YYMM and a service code

_SUSPECT = r"[0-9]{12}[=Dd][0-9]{7}|[Bb][0-9]{12,19}\^"  # cheap, and finds more than there is
_TRACK_1 = r"%?[Bb][0-9]{12,19}\^[^^\r\n]{2,26}\^[0-9^]{4}(?:[^\s,;|\"?]| +(?=[0-9]))*\??"
_TRACK_2 = (
    r";?(?<![0-9A-Za-z])(?P<pan>[0-9]{12,19})[=Dd]"
    r"[0-9]{2}(?:0[1-9]|1[0-2])[0-9]{3}[0-9]*[Ff]?\??(?![A-Za-z])"
)
_TRACK = re.compile(f"{_TRACK_1}|{_TRACK_2}")


def cells_with_tracks(cells: pa.Array) -> list[int]:
    """The row indices of the cells (Arrow `string`) that hold a full track."""
    longest = pc.max(pc.binary_length(cells)).as_py()
    if not longest or longest < LEAST_TRACK_CHARACTERS:
        return []
    suspects = pc.indices_nonzero(pc.fill_null(pc.match_substring_regex(cells, _SUSPECT), False))
    texts = cells.take(suspects).to_pylist()
    return [
        index
        for index, text in zip(suspects.to_pylist(), texts, strict=True)
        if without_tracks(text) != text
    ]


def cells_without_tracks(cells: pa.Array) -> pa.Array:
    """The cells (Arrow `string`) with `REMOVED` in the place of every full track."""
    indices = cells_with_tracks(cells)
    if not indices:
        return cells
    texts = cells.to_pylist()
    for index in indices:
        texts[index] = without_tracks(texts[index])
    return pa.array(texts, pa.string())


def without_tracks(text: str) -> str:
    """The text with `REMOVED` in the place of every full track."""
    return _TRACK.sub(_removed, text)


def _removed(match: re.Match[str]) -> str:
    """A hash or an identifier can look like a track 2; a card's prefix tells most of them."""
    pan = match["pan"]
    is_track = pan is None or match[0].startswith(";") or has_issuer_prefix(pan.encode("ascii"))
    return REMOVED if is_track else match[0]
