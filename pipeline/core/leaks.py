"""Finds card numbers in whatever a run left behind: text, logs, JSON, archives, Parquet.

Two kinds: PANs that are known (a canary, the PANs of an input), in any encoding; and numbers that
look like a card (Luhn, issuer prefix, 13 to 19 digits) in any form that a text can take.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pyarrow as pa

from pipeline.core.decoding import TooLargeError, decoded_views, holds_archive, views
from pipeline.core.guard import Hit, find_pans
from pipeline.core.known_pans import KnownPans


@dataclass(frozen=True, slots=True)
class Leak:
    """A card number, by where it stands: never by its digits."""

    form: str
    offset: int
    is_known: bool


class LeakScanner:
    """Searches bytes for known PANs and, unless told otherwise, for card-like numbers."""

    def __init__(self, known: Collection[bytes] = (), *, card_like: bool = True) -> None:
        self._known = KnownPans(pa.array([pan.decode() for pan in known], pa.string()))
        self._digits = frozenset(known)
        self._card_like = card_like
        self._binary = {form: pan for pan in known for form in _binary_forms(pan)}
        self._binary_pattern = re.compile(b"|".join(map(re.escape, self._binary)) or rb"(?!)")

    def leaks_in(self, content: bytes) -> list[Leak]:
        """Every card number in the content, once for each form and place.

        What cannot be searched to its end is reported as well: nobody can say that it is clean.
        """
        found: dict[tuple[str, int], Leak] = {}
        try:
            for form, offset, view in views(content):
                for leak in self._leaks_in_view(form or "plain", offset, view):
                    found.setdefault((leak.form, leak.offset), leak)
        except TooLargeError:
            found[("", 0)] = Leak("an archive too large to be searched to its end", 0, False)
        return list(found.values())

    def hits_in(self, text: str) -> list[Hit]:
        """The card numbers that stand in a text as they are."""
        return find_pans(text, self._known, full=self._card_like)

    def _leaks_in_view(self, form: str, offset: int, view: bytes) -> Iterator[Leak]:
        text = view.decode("latin-1")
        for hit in self.hits_in(text):
            yield Leak(form, offset + hit.start, hit.digits in self._digits)
        for match in self._binary_pattern.finditer(view):
            yield Leak(f"{form}, as a binary number", offset + match.start(), is_known=True)


def _binary_forms(pan: bytes) -> Iterator[bytes]:
    """A PAN as a 64-bit integer or a double, of either byte order."""
    number = int(pan)
    yield struct.pack("<Q", number)
    yield struct.pack(">Q", number)
    yield struct.pack("<d", float(number))
    yield struct.pack(">d", float(number))


def holds_pan(text: str) -> bool:
    """Whether something that looks like a PAN stands in the text or in what it could be decoded to.

    So does an archive: nobody looks into it here.
    """
    views = decoded_views(text.encode("utf-8", "surrogatepass"))
    return bool(find_pans(text)) or any(map(_view_holds_pan, views))


def _view_holds_pan(view: bytes) -> bool:
    return holds_archive(view) or bool(find_pans(view.decode("latin-1")))
