"""What a detector looks at, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import pyarrow as pa

SAMPLE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """The beginning of a file; `source` is all of it, for formats that say at the end what they
    hold. `is_whole` says that the beginning is everything.
    """

    head: bytes = field(repr=False)
    is_whole: bool
    source: BinaryIO = field(repr=False)


@dataclass(frozen=True, slots=True)
class Proposal:
    """How a file could be read.

    `settings` are those of `[format]`, the type among them; `records` those of `[records]`.
    `cells` holds the columns of the sample as text (`string` without nulls), `numbers` names those
    that the file holds as numbers, `pans` those that the format says hold PANs. `notes` are for
    the person who edits the draft; they hold counts and places, never values.
    """

    settings: Mapping[str, object]
    cells: pa.RecordBatch = field(repr=False)
    records: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[str] = ()
    numbers: frozenset[str] = frozenset()
    pans: frozenset[str] = frozenset()


Detector = Callable[[Sample], Proposal | None]
"""Says how to read the file if it knows the format by what it sees, None otherwise."""


def take_sample(source: BinaryIO) -> Sample:
    """The sample of a file that can be read from any place."""
    head = source.read(SAMPLE_BYTES + 1)
    source.seek(0)
    return Sample(head[:SAMPLE_BYTES], len(head) <= SAMPLE_BYTES, source)
