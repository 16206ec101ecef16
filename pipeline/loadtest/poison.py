"""Files that must be refused as a whole, and what each must be refused for."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from pipeline.samples.acquirer import Trailer, write_acquirer_file
from pipeline.samples.settlement import SETTLEMENT_COLUMNS, write_settlement_csv

POISON_ROWS = 20
POISON_CARDS = 5
UNKNOWN_LAYOUT = "loadtest-no-such-layout"


@dataclass(frozen=True, slots=True)
class Poison:
    """A way to spoil a file; `content` makes it from a seed.

    `layout` is the folder that it is put into, None for none; `reason` is that of its dead letter.
    """

    name: str
    layout: str | None
    reason: str
    content: Callable[[int], bytes] = field(repr=False)


def _settlement(seed: int) -> bytes:
    stream = io.BytesIO()
    write_settlement_csv(stream, POISON_ROWS, POISON_CARDS, seed)
    return stream.getvalue()


def _acquirer(seed: int, trailer: Trailer = "right") -> bytes:
    stream = io.BytesIO()
    write_acquirer_file(stream, POISON_ROWS, POISON_CARDS, seed, trailer=trailer)
    return stream.getvalue()


def _header_only(_seed: int) -> bytes:
    return (",".join(SETTLEMENT_COLUMNS) + "\n").encode()


def _cut_off(seed: int) -> bytes:
    """Ends behind a whole record, as an interrupted transfer may: the trailer alone is missing."""
    return b"".join(_acquirer(seed).splitlines(keepends=True)[:-1])


def _without_card_column(seed: int) -> bytes:
    return _settlement(seed).replace(b"card_number", b"card_nr", 1)


def _utf_16(seed: int) -> bytes:
    return _settlement(seed).decode().encode("utf-16")


def _document(_seed: int) -> bytes:
    return b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"


def _without_cards(seed: int) -> bytes:
    lines = [f"{seed},{row},a note" for row in range(POISON_ROWS)]
    return "\n".join(["seed,row,note", *lines, ""]).encode()


POISONS = (
    Poison("unknown-layout.csv", UNKNOWN_LAYOUT, "unknown_layout", _settlement),
    Poison("cut-off.txt", "acquirer-pipe", "trailer_missing", _cut_off),
    Poison("no-rows.csv", "card-present", "no_rows", _header_only),
    Poison("no-card-column.csv", "card-present", "missing_column", _without_card_column),
    Poison(
        "wrong-sum.txt",
        "acquirer-pipe",
        "trailer_mismatch",
        partial(_acquirer, trailer="wrong_sum"),
    ),
    Poison("a-document.csv", "card-present", "unsupported_format", _document),
    Poison("other-encoding.csv", "card-present", "encoding_mismatch", _utf_16),
    Poison("no-cards.csv", None, "no_pan_column", _without_cards),
)
