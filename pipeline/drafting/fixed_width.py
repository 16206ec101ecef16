"""Fixed-width records, as lines or unbroken: where their fields begin and end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.core.guard import find_pans
from pipeline.core.pans import MIN_PAN_DIGITS
from pipeline.drafting.columns import pan_share
from pipeline.drafting.encodings import EBCDIC, decoded, ebcdic_share
from pipeline.drafting.sample import Proposal, Sample
from pipeline.readers.auto import likeliest_delimiter

MIN_LINES = 5
MAX_LINES = 2_000
FEW_LINES = 60
MIN_ALIKE = 0.95  # of the lines have the usual length; headers and trailers may differ
MIN_ALIGNED = 0.6  # of the characters at a place are alike, where the length is right
ALIGNED_AS_WELL = 0.07  # less is no worse: several records at once align too, and are fewer
MIN_EBCDIC = 0.75  # packed numbers are no text
MIN_PAN_SHARE = 0.6  # of what stands in a place; chance reaches 0.1
MIN_PADDED_SHARE = 0.9
MIN_DIFFERENT_PANS = 3
MAX_FIELD_DIGITS = 24
MAX_MARK_CHARACTERS = 9
MAX_MARKS = 10  # different first characters, if they tell record types
RECORD_BYTES = range(40, 1001)

_NOTE = "fields were told by the blanks between them: compare with the file's description"

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Records:
    """Records of one length, and the settings that cut them out of the file."""

    lines: Sequence[str] = field(repr=False)
    settings: Mapping[str, object]


def detect_fixed_width(sample: Sample) -> Proposal | None:
    """Records of one length that nothing parts; fields are told by the blanks that they share."""
    records = _lines(sample) or _unbroken(sample)
    if records is None:
        return None
    kinds = _kinds(records.lines)
    details = kinds.details
    spans = list(spans_of(details))
    names = [f"field_{start + 1}" for start, _ in spans]
    fields = {name: _field(details, span) for name, span in zip(names, spans, strict=True)}
    columns = [
        [_cell(line[start:end], fields[name]) for line in details]
        for name, (start, end) in zip(names, spans, strict=True)
    ]
    arrays = [pa.array(column, pa.string()) for column in columns]
    cells = pa.RecordBatch.from_arrays(arrays, names=names)
    settings = {"type": "fixed", **records.settings, "fields": fields}
    settings |= {"types": kinds.types} if kinds.types else {}
    return Proposal(settings, cells, notes=(_NOTE, *kinds.notes))


def _lines(sample: Sample) -> _Records | None:
    found = decoded(sample)
    lines = [line for line in found[0].splitlines() if line][:MAX_LINES] if found else []
    if found is None or len(lines) < MIN_LINES or _are_delimited(lines):
        return None
    width, usual = Counter(map(len, lines)).most_common(1)[0]
    if width < MIN_PAN_DIGITS or usual < MIN_ALIKE * len(lines):
        return None
    return _Records([line for line in lines if len(line) == width], {"encoding": found[1]})


def _are_delimited(lines: Sequence[str]) -> bool:
    """Whether the lines that begin alike have as many delimiters, and none has none."""
    delimiter = likeliest_delimiter("\n".join(lines))
    counts = [line.count(delimiter) for line in lines]
    marks = [line.partition(delimiter)[0] for line in lines]
    if len(set(marks)) > MAX_MARKS:
        marks = [""] * len(lines)
    kinds = Counter(zip(marks, counts, strict=True))
    usual = sum(max(often for (of, _), often in kinds.items() if of == mark) for mark in set(marks))
    filled = sum(map(bool, counts))
    return min(filled, usual) >= MIN_ALIKE * len(lines)


def _unbroken(sample: Sample) -> _Records | None:
    """Records that no line ends part, of the length at which their characters are aligned."""
    if b"\n" in sample.head[:2000] or len(sample.head) < MIN_LINES * RECORD_BYTES.start:
        return None
    encoding = EBCDIC if ebcdic_share(sample.head) >= MIN_EBCDIC else "latin-1"
    text = sample.head.decode(encoding)
    lengths = [
        size
        for size in RECORD_BYTES
        if len(text) >= MIN_LINES * size and not (sample.is_whole and len(text) % size)
    ]
    alignments = {size: _alignment(text, size) for size in lengths}
    best = max(alignments.values(), default=0.0)
    if best < MIN_ALIGNED:
        return None
    size = min(each for each in lengths if alignments[each] >= best - ALIGNED_AS_WELL)
    lines = _cut(text, size, MAX_LINES)
    return _Records(lines, {"encoding": encoding, "record_bytes": size, "line_ends": "none"})


def _cut(text: str, size: int, most: int) -> list[str]:
    return [text[at : at + size] for at in range(0, min(len(text) - size + 1, most * size), size)]


_KINDS = str.maketrans(
    {
        **{chr(code): "9" for code in range(48, 58)},
        **{chr(code): "A" for code in [*range(65, 91), *range(97, 123)]},
    }
)


def _alignment(text: str, size: int) -> float:
    """How much alike the characters at each place of a record are, themselves and by kind.

    1 at most.
    """
    lines = _cut(text, size, FEW_LINES)
    kinds = [line.translate(_KINDS) for line in lines]
    usual = [Counter(column).most_common(1)[0][1] for column in zip(*lines, strict=True)]
    usual += [Counter(column).most_common(1)[0][1] for column in zip(*kinds, strict=True)]
    return sum(usual) / (2 * len(lines) * size)


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Records by how they begin: `rows`, `others` without card numbers, and `strangers`, which
    hold card numbers at a place of their own. All empty where beginnings tell nothing.
    """

    details: Sequence[str] = field(repr=False)
    rows: Sequence[str] = ()
    others: Sequence[str] = ()
    strangers: Sequence[str] = ()

    @property
    def types(self) -> dict[str, object]:
        """The settings of the record types, if there are several; strangers will be rejected."""
        if not self.others and not self.strangers:
            return {}
        types: dict[str, object] = {"detail": {"values": list(self.rows)}}
        if self.others:
            types["other"] = {"values": list(self.others), "kind": "skip"}
        return types

    @property
    def notes(self) -> list[str]:
        """What is left to a person."""
        if not self.strangers:
            return []
        return [f"{len(self.strangers)} more types of record hold card numbers: describe them too"]


def _kinds(lines: Sequence[str]) -> _Kinds:
    """The records by their first characters, as many as tell best which have a card number."""
    usual = _alike(lines)
    places = [span for span in spans_of(usual) if _are_pans(usual, *span)]
    if not places:
        return _Kinds(usual)
    best: tuple[float, dict[str, list[str]], dict[str, float]] = (0.0, {}, {})
    for size in range(1, MAX_MARK_CHARACTERS + 1):
        groups = _by_beginning(lines, size)
        if len(groups) > MAX_MARKS:
            break
        shares = {
            mark: max(_padded_share(group, *place) for place in places)
            for mark, group in groups.items()
        }
        told = sum(max(shares[mark], 1 - shares[mark]) * len(groups[mark]) for mark in groups)
        best = max(best, (told, groups, shares), key=lambda each: each[0])
    _, groups, shares = best
    rows = [mark for mark in groups if shares[mark] >= MIN_PAN_SHARE]
    if not rows:
        return _Kinds(usual)
    rest = [mark for mark in groups if mark not in rows]
    strangers = [mark for mark in rest if any(map(find_pans, groups[mark]))]
    details = [line for line in lines if line.startswith(tuple(rows))]
    return _Kinds(details, rows, [mark for mark in rest if mark not in strangers], strangers)


def _by_beginning(lines: Sequence[str], size: int) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for line in lines:
        groups.setdefault(line[:size], []).append(line)
    return dict(sorted(groups.items()))


def _alike(lines: Sequence[str]) -> Sequence[str]:
    """The records that begin like most, if first characters tell record types."""
    marks = Counter(line[0] for line in lines)
    mark, usual = marks.most_common(1)[0]
    if len(marks) > MAX_MARKS or usual < MIN_LINES:
        return lines
    return [line for line in lines if line[0] == mark]


def _cell(text: str, settings: Mapping[str, object]) -> str:
    """As the reader makes a cell of it."""
    return text.strip().lstrip(str(settings.get("padding", "")) or None)


def _field(lines: Sequence[str], span: Span) -> dict[str, object]:
    start, end = span
    place: dict[str, object] = {"start": start + 1, "length": end - start}
    is_padded = _padded_share(lines, start, end) >= MIN_PADDED_SHARE and any(
        line[start] == "0" for line in lines
    )
    return place | ({"padding": "0"} if is_padded else {})


def spans_of(lines: Sequence[str]) -> Iterator[Span]:
    """The fields of records of one length, as start and end from 0; what is no text is none."""
    columns = [set(column) for column in zip(*lines, strict=True)]
    is_gap = [each == {" "} or not all(map(str.isprintable, each)) for each in columns]
    start = None
    for at, gap in enumerate([*is_gap, True]):
        if start is None and not gap:
            start = at
        elif start is not None and gap:
            yield from _around_pans(lines, start, at)
            start = None


def _around_pans(lines: Sequence[str], start: int, end: int) -> Iterator[Span]:
    """The run, parted before and behind the PANs that stand in it at one place."""
    place = _place_of_pans(lines[:FEW_LINES], start, end)
    if place is None:
        yield start, end
        return
    if start < place[0]:
        yield start, place[0]
    yield place
    if place[1] < end:
        yield from _around_pans(lines, place[1], end)


def _place_of_pans(lines: Sequence[str], start: int, end: int) -> Span | None:
    """Where most PANs of the commonest lengths stand, and what fills their field up."""
    for length in (16, 15, 19):
        for at in range(start, end - length + 1):
            is_worth_a_look = _padded_share(lines[:8], at, at + length) >= 0.25
            if is_worth_a_look and _are_pans(lines, at, at + length):
                return _filled_up(lines, (start, end), (at, at + length))
    return None


def _are_pans(lines: Sequence[str], start: int, end: int) -> bool:
    """Whether PANs stand there, and not one and the same number that passes for one."""
    different = {line[start:end] for line in lines}
    has_variety = len(different) >= min(MIN_DIFFERENT_PANS, len(lines))
    return has_variety and _padded_share(lines, start, end) >= MIN_PAN_SHARE


def _filled_up(lines: Sequence[str], run: Span, place: Span) -> Span:
    """The place, and as much around it as makes more PANs of it, or does not make fewer before it.

    Longer PANs go on behind the place, shorter ones have zeros or blanks around them.
    """
    at, end = place
    ends = range(end, min(run[1], at + MAX_FIELD_DIGITS) + 1)
    shares = {behind: _padded_share(lines, at, behind) for behind in ends}
    end = min(behind for behind, share in shares.items() if share == max(shares.values()))
    starts = range(max(run[0], end - MAX_FIELD_DIGITS), at + 1)
    shares = {before: _padded_share(lines, before, end) for before in starts}
    return min(before for before, share in shares.items() if share == max(shares.values())), end


def _padded_share(lines: Sequence[str], start: int, end: int) -> float:
    return pan_share(
        pa.array([line[start:end].lstrip("0 ").rstrip(" ") for line in lines], pa.string())
    )
