"""Frozen values that pass between the parts of the pipeline.

Whatever may hold a PAN or a plaintext key hides it from `repr`, so that no log line, traceback
or test failure can show it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, Literal

Purpose = Literal["vault", "fingerprint"]


@dataclass(frozen=True, slots=True)
class Pans:
    """Distinct primary account numbers as ASCII digits (12 to 19 each), hidden from `repr`."""

    digits: Sequence[bytes] = field(repr=False)

    def __len__(self) -> int:
        return len(self.digits)


@dataclass(frozen=True, slots=True)
class Upload:
    """The object version that an event is about."""

    bucket: str
    key: str
    version_id: str

    @property
    def job_id(self) -> str:
        """The job that this upload is: the same for every event about it."""
        name = "\0".join((self.bucket, self.key, self.version_id))
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
        return "job_" + base64.b32encode(digest[:16]).decode("ascii").rstrip("=").lower()

    @property
    def uri(self) -> str:
        """`s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Arrival:
    """An upload that is in the intake, and when it came (UTC)."""

    upload: Upload
    at: datetime


@dataclass(frozen=True, slots=True)
class ChunkTask:
    """A planned chunk of an upload, by its place in the plan, counted from 0."""

    upload: Upload
    ordinal: int


@dataclass(frozen=True, slots=True)
class SourceObject:
    """One version of one uploaded file."""

    bucket: str
    key: str
    version_id: str
    size_bytes: int
    last_modified: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two records of a file, where reading can go on.

    `offset_bytes` counts from the beginning of the file's text: in UTF-8, behind its byte order
    mark. `rows` is how many data records come before it, `totals` what the control totals of those
    came to. In formats that are no lines of text, `offset_bytes` is what their reader makes of it.
    `member` is the file's place in its archive, from 0. It is kept in the ledger: it holds counts
    and sums, never a record.
    """

    offset_bytes: int = 0
    rows: int = 0
    totals: Mapping[str, str] = field(default_factory=dict)
    member: int = 0


START = Position()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A unit of work: a file, or what of it is left, tokenized by one attempt of one worker.

    It begins at `start`, and ends before `end_bytes` of the text of the archive's `end_member`, or
    with the file. If the file holds repaired rows, `rejects_to_repair` are the URIs of the rejects
    that they belong to.
    """

    job_id: str
    attempt_id: str
    source: SourceObject
    layout_name: str
    start: Position = START
    end_bytes: int | None = None
    end_member: int = 0
    rejects_to_repair: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private PGP key, armored or not, and the passphrase that it is locked with, if any."""

    material: bytes = field(repr=False)
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class DataKey:
    """A plaintext AES-256 key (32 bytes) and the name that its wrapped form is stored under."""

    data_key_id: str
    plaintext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WrappedDataKey:
    """A data key as KMS wrapped it, with all that is needed to unwrap it."""

    data_key_id: str
    wrapped_key: bytes
    key_arn: str
    purpose: Purpose
    encryption_context: Mapping[str, str]
    created_at: str


@dataclass(frozen=True, slots=True)
class SealedPan:
    """A row of the vault."""

    token: str
    ciphertext: bytes
    data_key_id: str
    created_at: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SealedPans:
    """Rows for the vault, column by column: what they have in common stands once.

    `customer_ids` are None where there is none. To `one_time` tokens no fingerprint leads, and none
    is missing.
    """

    tokens: Sequence[str]
    ciphertexts: Sequence[bytes]
    last4s: Sequence[str]
    schemes: Sequence[str]
    customer_ids: Sequence[str | None]
    data_key_id: str
    created_at: str
    scope: str
    job_id: str
    one_time: bool = False

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def common_metadata(self) -> dict[str, str]:
        """The metadata that all rows have in common."""
        common = {"scope": self.scope, "job_id": self.job_id}
        return common | {"token_mode": "one_time"} if self.one_time else common

    def part(self, start: int, rows: int) -> SealedPans:
        """That many rows from `start` on."""
        some = slice(start, start + rows)
        return replace(
            self,
            tokens=self.tokens[some],
            ciphertexts=self.ciphertexts[some],
            last4s=self.last4s[some],
            schemes=self.schemes[some],
            customer_ids=self.customer_ids[some],
        )

    def rows(self) -> Iterator[SealedPan]:
        """One by one, as whoever opens them reads them."""
        columns = zip(
            self.tokens,
            self.ciphertexts,
            self.last4s,
            self.schemes,
            self.customer_ids,
            strict=True,
        )
        for token, ciphertext, last4, scheme, customer_id in columns:
            metadata = {"last4": last4, "scheme": scheme, **self.common_metadata}
            if customer_id:
                metadata["customer_id"] = customer_id
            yield SealedPan(token, ciphertext, self.data_key_id, self.created_at, metadata)


@dataclass(frozen=True, slots=True)
class StagedObject:
    """An object that is complete, but not yet where a consumer looks."""

    uri: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a job's winning attempt decided: its receipt, and the parts that are to be published.

    `attempt_id` tells one attempt's decision from another's. `parts` pairs the URI of each staged
    part with the URI that it gets. Whoever reads a decision can carry it out, and carrying it out
    twice changes nothing.
    """

    attempt_id: str
    receipt: Mapping[str, Any]
    parts: Sequence[tuple[str, str]] = ()


class Unfinished(Enum):
    """Why a job has no receipt yet."""

    TO_BE_CONTINUED = "the time was up: the same message goes on from here"
    ELSEWHERE = "other messages carry the rest"


@dataclass(frozen=True, slots=True)
class FanOut:
    """How far a file is that many workers work off together.

    `planned` is how many chunks it has, None until all of it is planned; `done` are the ordinals of
    those that are worked off. `source_sha256` is None unless whoever planned it read all of it.
    `has_failed` stays when the job is started again.
    """

    planned: int | None = None
    done: frozenset[int] = frozenset()
    source_sha256: str | None = None
    is_failed: bool = False
    has_failed: bool = False
    decision: Decision | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every chunk is worked off."""
        return self.planned is not None and len(self.done) == self.planned

    @property
    def left(self) -> list[int]:
        """The planned chunks that are yet to be worked off."""
        return self.left_of(self.planned or 0)

    def left_of(self, chunks: int) -> list[int]:
        """The same of the first so many chunks, while others are yet to be planned."""
        return [at for at in range(chunks) if at not in self.done]


@dataclass(frozen=True, slots=True)
class JobState:
    """What the ledger knows of a job when an attempt starts."""

    attempts: int
    decision: Decision | None = None
    is_committed: bool = False
    has_chunks: bool = False
