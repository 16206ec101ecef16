"""A draft of a layout: what a file looks like it is, column by column."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.core.guard import could_hold_pan
from pipeline.core.guard_columns import find_in_column
from pipeline.core.known_formats import FORMATS
from pipeline.core.layouts import RESERVED_NAMES
from pipeline.drafting.columns import DraftColumn, draft_column, null_values
from pipeline.drafting.detectors import DETECTORS
from pipeline.drafting.sample import Proposal, Sample, take_sample
from pipeline.errors import PermanentError
from pipeline.readers.containers import BEGINNING_BYTES, refuse_other_formats

DEFAULT_NAME = "my-layout"
MAX_NAME_CHARACTERS = 64

_PACKED = re.compile(r"(?:\.(?:gz|bz2|xz|zst|zip))+$")


@dataclass(frozen=True, slots=True)
class Draft:
    """What `draft_layout` found; `rows` and `is_whole` say how much of the file it has seen."""

    name: str
    settings: Mapping[str, object]
    records: Mapping[str, object]
    columns: Sequence[DraftColumn]
    notes: Sequence[str]
    rows: int
    is_whole: bool

    @property
    def pan_columns(self) -> tuple[str, ...]:
        """The columns that hold card numbers."""
        return tuple(each.name for each in self.columns if each.column.role == "pan")


def draft_layout(source: BinaryIO, name: str) -> Draft:
    """A layout for a file, from a look at its beginning.

    Raises `PermanentError` `unsupported_format` or `format_not_recognised`, `reader_not_installed`,
    what `take_sample` raises, and `no_pan_column` when no column is to be tokenized: a layout is
    of no use then.
    """
    sample = take_sample(source)
    proposal = _proposal(sample)
    marks = null_values(proposal.cells)
    columns = [
        draft_column(
            column_name,
            cells,
            marks,
            is_number=column_name in proposal.numbers,
            is_pan=column_name in proposal.pans,
        )
        for column_name, cells in zip(
            proposal.cells.schema.names, proposal.cells.columns, strict=True
        )
    ]
    settings = dict(proposal.settings) | ({"null_values": marks} if len(marks) > 1 else {})
    draft = Draft(
        name,
        settings,
        proposal.records,
        columns,
        [*_notes(sample), *proposal.notes],
        proposal.cells.num_rows,
        sample.is_whole and sample.members == 1,
    )
    if not draft.pan_columns and not _holds_pans_in_text(draft, proposal):
        raise PermanentError(
            "no_pan_column",
            f"no column of {draft.rows:,} rows holds card numbers: write the layout by hand",
        )
    return draft


def _holds_pans_in_text(draft: Draft, proposal: Proposal) -> bool:
    texts = [each.name for each in draft.columns if each.column.role == "text"]
    return any(find_in_column(proposal.cells.column(name)).hits for name in texts)


def _notes(sample: Sample) -> list[str]:
    if sample.members == 1:
        return []
    return [f"the first of {sample.members:,} files of the archive: all must be alike"]


def _proposal(sample: Sample) -> Proposal:
    """What the first detector says that knows the file."""
    for format_type, detect in DETECTORS:
        proposal = detect(sample) if format_type in FORMATS else None
        if proposal is not None and proposal.cells.num_rows:
            return proposal
    refuse_other_formats(sample.head[:BEGINNING_BYTES], "delimited")
    raise PermanentError("format_not_recognised", "write the layout by hand: see docs/layouts.md")


def layout_name_from(file_name: str) -> str:
    """A name for the layout of a file, without what numbers it."""
    stem = _PACKED.sub("", file_name.lower()).rsplit(".", 1)[0]
    words = re.findall(r"[a-z0-9]+", stem)
    kept = [word for word in words if not word.isdigit()]
    name = "-".join(kept)[:MAX_NAME_CHARACTERS].strip("-")
    is_fit = name and name not in RESERVED_NAMES and not could_hold_pan(name)
    return name if is_fit else DEFAULT_NAME
