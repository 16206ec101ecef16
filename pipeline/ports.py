"""What the pipeline needs from the world outside, as Protocols.

`aws/` implements them over AWS, `testing/` in memory; one contract suite runs on both.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

from pipeline.core.keyring import KeyRing
from pipeline.errors import PermanentError
from pipeline.model import (
    DataKey,
    Decision,
    FanOut,
    JobState,
    PrivateKey,
    SealedPans,
    SourceObject,
    WrappedDataKey,
)

if TYPE_CHECKING:
    from pipeline.core.layouts import Layout

T = TypeVar("T")


class Clock(Protocol):
    """Tells the time."""

    def __call__(self) -> datetime:
        """Now, with the time zone UTC."""


class Crew(Protocol):
    """Takes steps that wait for the vault or the fingerprints, many of them at a time."""

    def run(self, steps: Iterable[Coroutine[Any, Any, T]], has_time: Callable[[], bool]) -> list[T]:
        """What the steps return, in their order; what one of them raises ends all of them.

        Steps are taken from the iterable as there is room for them. When there is no time left, a
        step that is throttled raises instead of waiting.
        """


class Vault(Protocol):
    """Sealed PANs by token. It can be added to; nothing here reads, changes or deletes."""

    async def insert_if_absent(self, sealed: SealedPans) -> None:
        """Inserts every row, durably; a row that is there already is our own, and stays."""


class Fingerprints(Protocol):
    """Which token belongs to which PAN, by fingerprint."""

    async def look_up(self, fingerprints: Sequence[bytes]) -> Sequence[str | None]:
        """The token of each fingerprint; None for an unknown one, and perhaps for a recent one."""

    async def claim(self, fingerprints: Sequence[bytes], tokens: Sequence[str]) -> Sequence[str]:
        """The token that each fingerprint has from now on: ours, or that of who claimed first."""


class DataKeyRecords(Protocol):
    """Wrapped data keys by id."""

    def insert_if_absent(self, record: WrappedDataKey) -> None:
        """Stores the record durably; one of the same id stays as it is."""

    def get(self, data_key_id: str) -> WrappedDataKey:
        """The record; raises `PermanentError` `data_key_missing`."""

    def key_ring(self) -> KeyRing:
        """Which versions of the fingerprint key are in use, read consistently."""


class KeyService(Protocol):
    """Wraps and unwraps data keys."""

    def generate_data_key(
        self, data_key_id: str, encryption_context: Mapping[str, str], created_at: str
    ) -> tuple[DataKey, WrappedDataKey]:
        """A fresh data key for the vault, plaintext and wrapped."""

    def unwrap(self, record: WrappedDataKey) -> DataKey:
        """The plaintext of a wrapped key, under the encryption context that it was made with."""


class DecryptionKeys(Protocol):
    """Private keys that open encrypted uploads."""

    def get(self, uri: str) -> PrivateKey:
        """The key that `secretsmanager:NAME` or `s3+kms:URI` names.

        Raises `PermanentError`: `decryption_key_missing`, `decryption_key_unusable`.
        """


class NoDecryptionKeys:
    """A deployment that opens no encrypted uploads."""

    def get(self, uri: str) -> PrivateKey:
        """Raises `PermanentError` `decryption_key_missing`."""
        raise PermanentError("decryption_key_missing", f"this worker has no keys, nor {uri}")


NO_DECRYPTION_KEYS = NoDecryptionKeys()


class Quarantine(Protocol):
    """Where files with PANs arrive and rejected rows are kept."""

    def find(self, key: str, version_id: str) -> SourceObject:
        """What is known of an upload; raises `PermanentError` `source_missing`."""

    def open(self, source: SourceObject) -> AbstractContextManager[BinaryIO]:
        """The bytes of that very version, as a stream."""

    def open_rejects(self, job_id: str, attempt_id: str) -> AbstractContextManager[BinaryIO]:
        """A new rejects file; it exists once the context ends without an exception."""

    def open_rejected(self, uri: str) -> AbstractContextManager[BinaryIO]:
        """A finished rejects file; raises `PermanentError` `source_missing`."""

    def rejects_uri(self, job_id: str, attempt_id: str) -> str:
        """Where that rejects file is."""

    def keep_digests(self, job_id: str, attempt_id: str, kind: str, content: bytes) -> None:
        """Keeps digests of a chunk's PANs for those who work off the rest of the file."""

    def kept_digests(
        self, job_id: str, attempt_id: str, kind: str, start: int = 0, size_bytes: int | None = None
    ) -> bytes:
        """What was kept; or so many bytes of it, at least one, from a place on."""

    def mark_tokenized(self, key: str, version_id: str) -> None:
        """Tags the source, so that its lifecycle ends; harmless if the source is gone."""


class TokenizedStore(Protocol):
    """Where parts and receipts go."""

    def stage(self, job_id: str, attempt_id: str, part: int) -> AbstractContextManager[BinaryIO]:
        """A new staged part; it exists once the context ends without an exception."""

    def staged_uri(self, job_id: str, attempt_id: str, part: int) -> str:
        """Where that staged part is."""

    def part_uri(self, layout_name: str, date: str, job_id: str, part: int) -> str:
        """Where consumers find the part."""

    def publish(self, staged_uri: str, uri: str) -> None:
        """Copies a staged part to its place; harmless if that has been done."""

    def discard_staged(self, staged_uris: Sequence[str]) -> None:
        """Removes staged parts that nobody needs any more."""

    def open_staged(self, staged_uri: str) -> AbstractContextManager[BinaryIO]:
        """The bytes of a staged part."""

    def put_receipt(self, receipt: Mapping[str, Any]) -> None:
        """Writes a receipt; a committed one is never replaced."""

    def get_receipt(self, job_id: str) -> Mapping[str, Any] | None:
        """The job's receipt, None where there is none yet."""


class Ledger(Protocol):
    """How far each job is. It holds counts and codes, never data."""

    def start(self, job_id: str, facts: Mapping[str, str], started_at: datetime) -> JobState:
        """Notes another attempt; says what earlier attempts came to."""

    def progress(self, job_id: str, rows_read: int) -> None:
        """Notes how many rows the running attempt has read."""

    def note_trouble(self, job_id: str, code: str) -> None:
        """Notes why an attempt stopped that will be repeated."""

    def recorded_chunk(self, job_id: str, name: str) -> Mapping[str, Any] | None:
        """What was recorded of the job's chunk of that name; None if nothing yet."""

    def record_chunk(
        self, job_id: str, name: str, document: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Records that a chunk is worked off: the first to say so stands, and is returned."""

    def fan_out(self, job_id: str) -> FanOut:
        """How far the chunks of a job are that its file was parted into."""

    def finish_plan(self, job_id: str, chunks: int, source_sha256: str | None) -> FanOut:
        """Notes that the whole file is planned; the first plan stands."""

    def finish_chunk(self, job_id: str, ordinal: int) -> FanOut:
        """Notes that a planned chunk is worked off; to note it twice changes nothing."""

    def claim(self, name: str, job_id: str) -> str:
        """The job that what is named so belongs to: the first that claims it and does not fail."""

    def decide(self, job_id: str, decision: Decision, held: Sequence[str] = ()) -> Decision:
        """The first decision of a job stands: ours, or that of another attempt.

        `held` names claims that the job must still hold for ours to stand; raises `TransientError`
        `claim_lost` when another job took one over.
        """

    def commit(self, job_id: str) -> None:
        """Notes that the decision has been carried out."""

    def fail(self, job_id: str, reason: str, detail: str) -> Decision | None:
        """Notes a failure, unless the job came to a decision meanwhile, which is returned then."""


class LayoutCatalogue(Protocol):
    """Layouts by name: the deployment's own, and those that ship with the product."""

    def name_for(self, key: str) -> str:
        """The layout of an upload's object key.

        Raises `PermanentError` `pan_in_object_key`, or `LayoutError` when the rules for folders
        have mistakes.
        """

    def get(self, name: str) -> Layout:
        """Raises `PermanentError` `unknown_layout`, or `LayoutError` for one with mistakes."""


class DeadLetters(Protocol):
    """Messages that could not be worked off, each with its reason."""

    def send(self, letter: Mapping[str, Any]) -> None:
        """Adds a dead letter, durably."""


class WorkQueue(Protocol):
    """The queue that workers are fed from."""

    def send_all(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Adds messages, durably; in no order."""

    def postpone(self, receipt_handle: str, seconds: int) -> None:
        """Hides a received message for that long before it is delivered again."""


class CallCounter(Protocol):
    """Counts the calls made to AWS: a call has a price."""

    def snapshot(self) -> Mapping[str, Mapping[str, int]]:
        """Calls so far, by service and operation."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything that a worker reaches the world through."""

    quarantine: Quarantine
    tokenized: TokenizedStore
    crew: Crew
    vault: Vault
    fingerprints: Fingerprints
    data_key_records: DataKeyRecords
    key_service: KeyService
    ledger: Ledger
    layouts: LayoutCatalogue
    work_queue: WorkQueue
    dead_letters: DeadLetters
    calls: CallCounter
    clock: Clock
    entropy: Callable[[int], bytes]
    decryption_keys: DecryptionKeys = NO_DECRYPTION_KEYS
