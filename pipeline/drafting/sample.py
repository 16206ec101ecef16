"""What a detector looks at, and what it says."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import pyarrow as pa

from pipeline.readers.streams import LookAhead, seekable_file
from pipeline.readers.unpacking import refuse_encrypted, unpacked

SAMPLE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """The beginning of a file, unpacked. `is_whole` says that the beginning is everything.

    `stream` is all of it; `members` says how many files there are where it stands in an archive.
    """

    head: bytes = field(repr=False)
    is_whole: bool
    stream: LookAhead = field(repr=False)
    members: int = 1

    def from_start(self) -> LookAhead:
        """The whole file, to be read from its beginning."""
        self.stream.seek(0)
        return self.stream

    def as_file(self) -> BinaryIO:
        """The whole file, for formats that say at the end what they hold.

        Raises `PermanentError` `too_large_for_memory` for what is packed and large.
        """
        return seekable_file(self.from_start())


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
    """The sample of a file that can be read from any place; of an archive, of its first file.

    Raises `PermanentError` `encrypted`, and for archives what `unpacked` raises.
    """
    size_bytes = source.seek(0, io.SEEK_END)
    source.seek(0)
    members = unpacked(LookAhead(source, size_bytes), size_bytes, "xlsx", refuse_encrypted)
    stream = members[0]()
    head = stream.peek(SAMPLE_BYTES + 1)
    return Sample(head[:SAMPLE_BYTES], len(head) <= SAMPLE_BYTES, stream, len(members))
