"""Fixed-width lines: where their fields begin and end."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipeline.core.pans import MAX_PAN_DIGITS, MIN_PAN_DIGITS
from pipeline.drafting.columns import pan_share
from pipeline.drafting.encodings import decoded
from pipeline.drafting.sample import Proposal, Sample
from pipeline.readers.auto import likeliest_delimiter

MIN_LINES = 5
MAX_LINES = 2_000
MIN_ALIKE = 0.95  # of the lines have the usual length; headers and trailers may differ
MIN_PAN_SHARE = 0.9  # of what stands in a place for it to be told from the digits around it

Span = tuple[int, int]


def detect_fixed_width(sample: Sample) -> Proposal | None:
    """Lines of one length that nothing parts; fields are told by the blanks that they share."""
    found = decoded(sample)
    lines = [line for line in found[0].splitlines() if line][:MAX_LINES] if found else []
    if found is None or len(lines) < MIN_LINES or _are_delimited(lines):
        return None
    width, usual = Counter(map(len, lines)).most_common(1)[0]
    if width < MIN_PAN_DIGITS or usual < MIN_ALIKE * len(lines):
        return None
    lines = [line for line in lines if len(line) == width]
    spans = list(spans_of(lines))
    names = [f"field_{start + 1}" for start, _ in spans]
    fields = {
        name: {"start": start + 1, "length": end - start}
        for name, (start, end) in zip(names, spans, strict=True)
    }
    cells = pa.RecordBatch.from_arrays(
        [pa.array([line[start:end].strip() for line in lines]) for start, end in spans], names=names
    )
    settings = {"type": "fixed", "encoding": found[1], "fields": fields}
    note = "fields were told by the blanks between them: compare with the file's description"
    return Proposal(settings, cells, notes=(note,))


def _are_delimited(lines: Sequence[str]) -> bool:
    delimiter = likeliest_delimiter("\n".join(lines))
    counts = Counter(line.count(delimiter) for line in lines)
    usual, often = counts.most_common(1)[0]
    return usual > 0 and often >= MIN_ALIKE * len(lines)


def spans_of(lines: Sequence[str]) -> Iterator[Span]:
    """The fields of lines of one length, as start and end from 0."""
    is_blank = [all(line[at] == " " for line in lines) for at in range(len(lines[0]))]
    start = None
    for at, blank in enumerate([*is_blank, True]):
        if start is None and not blank:
            start = at
        elif start is not None and blank:
            yield from _around_pans(lines, start, at)
            start = None


def _around_pans(lines: Sequence[str], start: int, end: int) -> Iterator[Span]:
    """The run, parted before and behind the PANs that stand in it at one place."""
    place = _place_of_pans(lines, start, end)
    if place is None:
        yield start, end
        return
    if start < place[0]:
        yield start, place[0]
    yield place
    if place[1] < end:
        yield from _around_pans(lines, place[1], end)


def _place_of_pans(lines: Sequence[str], start: int, end: int) -> Span | None:
    lengths = [16, 15, 19, *range(MAX_PAN_DIGITS - 1, MIN_PAN_DIGITS - 1, -1)]
    few = lines[:100]
    for length, at in itertools.product(lengths, range(start, end - MIN_PAN_DIGITS + 1)):
        if at + length > end:
            continue
        if (
            _share(few[:10], at, at + length) >= 0.5
            and _share(few, at, at + length) > MIN_PAN_SHARE
        ):
            return at, at + length
    return None


def _share(lines: Sequence[str], start: int, end: int) -> float:
    return pan_share(pa.array([line[start:end] for line in lines], pa.string()))
