"""Frozen values that pass between the parts of the pipeline.

Whatever may hold a PAN or a plaintext key hides it from `repr`, so that no log line, traceback
or test failure can show it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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
class Claim:
    """A fingerprint and the token that is put forward for it."""

    fingerprint: bytes
    token: str


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


@dataclass(frozen=True, slots=True)
class JobState:
    """What the ledger knows of a job when an attempt starts."""

    attempts: int
    decision: Decision | None = None
    is_committed: bool = False
    has_chunks: bool = False
