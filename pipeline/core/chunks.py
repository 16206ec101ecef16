"""What is noted of a chunk that is worked off, and what the chunks of a file come to together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from pipeline.core.prices import AwsCalls, sum_of_calls
from pipeline.core.receipts import Tally, sum_of_tallies
from pipeline.model import Position, StagedObject


@dataclass(frozen=True, slots=True)
class Effort:
    """What the work took: calls by service and operation, wall-clock seconds, invocations."""

    aws_calls: AwsCalls
    seconds: float
    invocations: int = 1

    def __add__(self, other: Effort) -> Effort:
        """Both together."""
        return Effort(
            sum_of_calls(self.aws_calls, other.aws_calls),
            self.seconds + other.seconds,
            self.invocations + other.invocations,
        )


@dataclass(slots=True)
class KeptDigits:
    """What the guard let through in one chunk, for a look back to judge by.

    `longest` is the length of the longest kept cell that holds enough digits for a PAN, 0 if none
    does; `lengths` are those of the chunk's own PANs, `batches` how many record batches they came
    in: within one, the guard knew them all.
    """

    longest: int = 0
    batches: int = 0
    lengths: set[int] = field(default_factory=set)

    def are_in_question(self, pan_lengths: Collection[int]) -> bool:
        """Whether a kept cell could hold a PAN that only another record batch shows to be one."""
        return self.longest >= min(pan_lengths, default=self.longest + 1)


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """A chunk that is worked off: counts, places and codes, never data.

    `start` and `end` say which records are its own; `end` is None behind the last one. Its
    digests and rejected rows are kept in quarantine under its attempt's name.
    """

    attempt_id: str
    started_at: str
    start: Position
    end: Position | None
    tally: Tally
    parts: Sequence[StagedObject]
    rejects_uris: Sequence[str]
    kept_digits: KeptDigits
    effort: Effort

    def as_json(self) -> dict[str, Any]:
        """A JSON document that `from_json` understands."""
        document = asdict(self)
        document["tally"]["rejects"] = dict(self.tally.rejects)
        document["kept_digits"]["lengths"] = sorted(self.kept_digits.lengths)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The record that `as_json` gave."""
        end, tally, kept = document["end"], document["tally"], document["kept_digits"]
        fields = dict(document) | {
            "start": Position(**document["start"]),
            "end": Position(**end) if end else None,
            "tally": Tally(**{**tally, "rejects": Counter(tally["rejects"])}),
            "parts": [StagedObject(**part) for part in document["parts"]],
            "kept_digits": KeptDigits(**{**kept, "lengths": set(kept["lengths"])}),
            "effort": Effort(**document["effort"]),
        }
        return cls(**fields)

    def superseded(self, *, has_same_tokens: bool) -> ChunkRecord:
        """What this chunk cost, of which a second pass made others.

        `has_same_tokens` says that the tokens of the first pass are those of the second too.
        """
        spent = Tally(
            tokens_new=self.tally.tokens_new if has_same_tokens else 0,
            items_written=self.tally.items_written,
            items_looked_up=self.tally.items_looked_up,
            data_key_ids=self.tally.data_key_ids,
        )
        return replace(self, tally=spent, parts=[], rejects_uris=[])


@dataclass(frozen=True, slots=True)
class WholeFile:
    """What all chunks of a file came to.

    `is_recorded` says that the ledger knows them, `superseded_uris` what was staged in vain.
    """

    tally: Tally
    pans_distinct: int
    parts: Sequence[StagedObject]
    rejects_uris: Sequence[str]
    source_sha256: str
    started_at: str
    effort: Effort
    is_recorded: bool = False
    superseded_uris: Sequence[str] = ()


def whole_file(chunks: Sequence[ChunkRecord], pans_distinct: int, sha256: str) -> WholeFile:
    """The chunks of a file, in its order, put together."""
    tally = sum_of_tallies([chunk.tally for chunk in chunks])
    effort = chunks[0].effort
    for chunk in chunks[1:]:
        effort += chunk.effort
    return WholeFile(
        tally=tally,
        pans_distinct=pans_distinct,
        parts=[part for chunk in chunks for part in chunk.parts],
        rejects_uris=[uri for chunk in chunks for uri in chunk.rejects_uris],
        source_sha256=sha256,
        started_at=chunks[0].started_at,
        effort=effort,
    )
