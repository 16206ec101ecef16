"""The look back: kept cells, held against PANs that only other record batches show to be some."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.bench import Bench
from pipeline.core.distinct import KnownDigests
from pipeline.core.guard_columns import windows
from pipeline.core.layouts import Layout
from pipeline.core.output import guarded_names
from pipeline.model import StagedObject


@dataclass(frozen=True, slots=True)
class FilePans:
    """All PANs of a file: digests, lengths, and the digits that they begin with."""

    digests: KnownDigests
    lengths: Collection[int]
    beginnings: pa.Array = field(repr=False)


def needs_another_pass(
    parts: Sequence[StagedObject], layout: Layout | None, bench: Bench, file_pans: FilePans
) -> bool:
    """Whether a kept cell of a chunk holds a PAN that only other record batches show to be one.

    A record batch is guarded against its own PANs as it passes. One that fails Luhn can stand in a
    kept cell of another batch and look like any other number; to find it, the columns that were
    kept are read once more from the staged parts, now that all PANs of the file are known.
    """
    if layout is None:  # nothing was kept
        return False
    for part in parts:
        with bench.ports.tokenized.open_staged(part.uri) as stream:
            file = pq.ParquetFile(stream)
            names = guarded_names(file.schema_arrow, layout)
            for batch in file.iter_batches(columns=names):
                if late_pans(batch.columns, layout, bench, file_pans):
                    return True
    return False


def late_pans(
    kept: Iterable[pa.Array], layout: Layout, bench: Bench, file_pans: FilePans
) -> list[bytes]:
    """PANs of the file in kept cells, whether or not the rows at hand show them to be PANs."""
    lengths, beginnings = file_pans.lengths, file_pans.beginnings
    candidates = list({each for cells in kept for each in windows(cells, lengths, beginnings)})
    is_pan = file_pans.digests.has(bench.fingerprints(candidates, layout))
    return [each for each, is_one in zip(candidates, is_pan, strict=True) if is_one]
