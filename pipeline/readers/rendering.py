"""Records that are no lines of text, written as delimited text for the person who repairs them."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.sensitive import is_sensitive_name, without_track_data
from pipeline.readers.undecodable import UNDECODABLE

_SPECIAL = frozenset(',"\r\n')


def rendered(cells: Iterable[tuple[str, str]]) -> bytes:
    """One comma-delimited record of (column, text) pairs, quoted as needed.

    Columns of sensitive authentication data are empty and full tracks are removed, wherever they
    stand (PCI DSS 3.3.1).
    """
    record = ",".join("" if is_sensitive_name(name) else _quoted(text) for name, text in cells)
    return without_track_data((record or '""').encode())


def _quoted(text: str) -> str:
    text = text.replace(UNDECODABLE, "\ufffd")
    if _SPECIAL.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'
