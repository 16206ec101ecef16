"""The world outside, in memory, for our tests and for a user's; and events as AWS sends them.

Each class keeps the promises of its Protocol in `ports.py`; the same contract suite runs on these
and on the AWS adapters.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipeline.core.envelope import DATA_KEY_BYTES, NONCE_BYTES, Entropy
from pipeline.core.keyring import KeyRing
from pipeline.core.layouts import Layout, parse_layout
from pipeline.core.messages import upload_message
from pipeline.errors import PermanentError, TransientError
from pipeline.keys import FINGERPRINT_KEY_VERSION, fingerprint_data_key_id
from pipeline.model import (
    Claim,
    DataKey,
    Decision,
    JobState,
    SealedPan,
    SourceObject,
    Upload,
    WrappedDataKey,
)
from pipeline.ports import Ports
from pipeline.succession import SuccessiveFingerprints

A_MOMENT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class MemoryVault:
    """Sealed PANs by token, in `rows`."""

    def __init__(self) -> None:
        self.rows: dict[str, SealedPan] = {}

    def insert_if_absent(self, sealed: Sequence[SealedPan]) -> None:
        """A row that is there already stays."""
        for row in sealed:
            self.rows.setdefault(row.token, row)


class MemoryFingerprints:
    """Tokens by fingerprint, in `tokens`."""

    def __init__(self) -> None:
        self.tokens: dict[bytes, str] = {}

    def look_up(self, fingerprints: Sequence[bytes]) -> Mapping[bytes, str]:
        """The known ones."""
        return {each: self.tokens[each] for each in fingerprints if each in self.tokens}

    def claim(self, claims: Sequence[Claim]) -> Mapping[bytes, str]:
        """The first claim of a fingerprint holds."""
        return {each.fingerprint: self._first(each) for each in claims}

    def _first(self, claim: Claim) -> str:
        return self.tokens.setdefault(claim.fingerprint, claim.token)


class MemoryDataKeys:
    """Wrapped data keys by id, in `records`; the key ring in `ring`."""

    def __init__(self) -> None:
        self.records: dict[str, WrappedDataKey] = {}
        self.ring = KeyRing()

    def insert_if_absent(self, record: WrappedDataKey) -> None:
        """One of the same id stays as it is."""
        self.records.setdefault(record.data_key_id, record)

    def get(self, data_key_id: str) -> WrappedDataKey:
        """Raises `PermanentError` `data_key_missing`."""
        if data_key_id not in self.records:
            raise PermanentError("data_key_missing", data_key_id)
        return self.records[data_key_id]

    def key_ring(self) -> KeyRing:
        """Which versions of the fingerprint key are in use."""
        return self.ring


class MemoryKeys:
    """A key service with a master key of its own; a wrong context does not unwrap."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._master = AESGCM(entropy(DATA_KEY_BYTES))
        self.generated = 0

    def generate_data_key(
        self, data_key_id: str, encryption_context: Mapping[str, str], created_at: str
    ) -> tuple[DataKey, WrappedDataKey]:
        """A fresh data key."""
        self.generated += 1
        plaintext = self._entropy(DATA_KEY_BYTES)
        record = WrappedDataKey(
            data_key_id=data_key_id,
            wrapped_key=self._wrapped(plaintext, encryption_context),
            key_arn="arn:aws:kms:us-east-1:000000000000:key/memory",
            purpose="fingerprint" if encryption_context["purpose"] == "fingerprint" else "vault",
            encryption_context=dict(encryption_context),
            created_at=created_at,
        )
        return DataKey(data_key_id, plaintext), record

    def unwrap(self, record: WrappedDataKey) -> DataKey:
        """Raises `PermanentError` `data_key_broken` when key or context were changed."""
        nonce, wrapped = record.wrapped_key[:NONCE_BYTES], record.wrapped_key[NONCE_BYTES:]
        try:
            plaintext = self._master.decrypt(nonce, wrapped, _canonical(record.encryption_context))
        except InvalidTag:
            raise PermanentError("data_key_broken", record.data_key_id) from None
        return DataKey(record.data_key_id, plaintext)

    def rewrap(self, record: WrappedDataKey, key_arn: str) -> WrappedDataKey:
        """Raises `PermanentError` `data_key_broken`."""
        plaintext = self.unwrap(record).plaintext
        wrapped_key = self._wrapped(plaintext, record.encryption_context)
        return replace(record, wrapped_key=wrapped_key, key_arn=key_arn)

    def _wrapped(self, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        nonce = self._entropy(NONCE_BYTES)
        return nonce + self._master.encrypt(nonce, plaintext, _canonical(context))


def _canonical(context: Mapping[str, str]) -> bytes:
    return json.dumps(dict(context), sort_keys=True).encode()


class MemoryQuarantine:
    """Uploads in `objects`, finished rejects files in `rejects`, tags in `tokenized`."""

    def __init__(self, bucket: str = "quarantine") -> None:
        self.bucket = bucket
        self.objects: dict[tuple[str, str], bytes] = {}
        self.rejects: dict[str, bytes] = {}
        self.digests: dict[tuple[str, str, str], bytes] = {}
        self.tokenized: set[tuple[str, str]] = set()

    def put(self, key: str, body: bytes) -> Upload:
        """Uploads a file; each upload is a version of its own."""
        upload = Upload(self.bucket, key, f"v{len(self.objects) + 1}")
        self.objects[upload.key, upload.version_id] = body
        return upload

    def find(self, key: str, version_id: str) -> SourceObject:
        """Raises `PermanentError` `source_missing`."""
        if (key, version_id) not in self.objects:
            raise PermanentError("source_missing")
        size_bytes = len(self.objects[key, version_id])
        return SourceObject(self.bucket, key, version_id, size_bytes, A_MOMENT)

    @contextmanager
    def open(self, source: SourceObject) -> Iterator[BinaryIO]:
        """The bytes of that version."""
        self.find(source.key, source.version_id)
        yield io.BytesIO(self.objects[source.key, source.version_id])

    @contextmanager
    def open_rejects(self, job_id: str, attempt_id: str) -> Iterator[BinaryIO]:
        """It exists once the context ends without an exception."""
        sink = io.BytesIO()
        yield sink
        self.rejects[self.rejects_uri(job_id, attempt_id)] = sink.getvalue()

    @contextmanager
    def open_rejected(self, uri: str) -> Iterator[BinaryIO]:
        """Raises `PermanentError` `source_missing`."""
        if uri not in self.rejects:
            raise PermanentError("source_missing")
        yield io.BytesIO(self.rejects[uri])

    def rejects_uri(self, job_id: str, attempt_id: str) -> str:
        """Where that rejects file is."""
        return f"s3://{self.bucket}/rejects/{job_id}/{attempt_id}.jsonl.gz"

    def keep_digests(self, job_id: str, attempt_id: str, kind: str, content: bytes) -> None:
        """Keeps digests of a chunk's PANs."""
        self.digests[job_id, attempt_id, kind] = content

    def kept_digests(self, job_id: str, attempt_id: str, kind: str) -> bytes:
        """What was kept."""
        return self.digests[job_id, attempt_id, kind]

    def mark_tokenized(self, key: str, version_id: str) -> None:
        """Harmless if the source is gone."""
        self.tokenized.add((key, version_id))


class MemoryTokenized:
    """Objects of the tokenized bucket by URI, in `objects`; receipts in `receipts`."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.receipts: dict[str, Mapping[str, Any]] = {}

    @contextmanager
    def stage(self, job_id: str, attempt_id: str, part: int) -> Iterator[BinaryIO]:
        """It exists once the context ends without an exception."""
        sink = io.BytesIO()
        yield sink
        self.objects[self.staged_uri(job_id, attempt_id, part)] = sink.getvalue()

    def staged_uri(self, job_id: str, attempt_id: str, part: int) -> str:
        """Where that staged part is."""
        return f"s3://quarantine/staging/{job_id}/{attempt_id}/part-{part:05d}.parquet"

    def part_uri(self, layout_name: str, date: str, job_id: str, part: int) -> str:
        """Where consumers find the part."""
        folder = f"data/layout={layout_name}/date={date}/{job_id}"
        return f"s3://tokenized/{folder}/part-{part:05d}.parquet"

    def publish(self, staged_uri: str, uri: str) -> None:
        """Harmless if that has been done; raises `TransientError` if nothing is staged."""
        if staged_uri in self.objects:
            self.objects[uri] = self.objects[staged_uri]
        elif uri not in self.objects:
            raise TransientError("aws_error", "nothing is staged")

    def discard_staged(self, staged_uris: Sequence[str]) -> None:
        """Removes staged parts."""
        for uri in staged_uris:
            self.objects.pop(uri, None)

    def put_receipt(self, receipt: Mapping[str, Any]) -> None:
        """A committed one is never replaced."""
        existing = self.receipts.get(receipt["job_id"])
        if existing is None or existing["status"] != "committed":
            self.receipts[receipt["job_id"]] = json.loads(json.dumps(receipt))

    def get_receipt(self, job_id: str) -> Mapping[str, Any] | None:
        """None where there is none yet."""
        return self.receipts.get(job_id)


@dataclass
class _Job:
    attempts: int = 0
    status: str = ""
    reason: str = ""
    rows_read: int = 0
    trouble: str = ""
    decision: Decision | None = None
    has_chunks: bool = False


class MemoryLedger:
    """Jobs by id, in `jobs`; what is said of a job that never started is not noted."""

    def __init__(self) -> None:
        self.jobs: dict[str, _Job] = {}
        self.chunks: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.owners: dict[str, str] = {}

    def start(self, job_id: str, facts: Mapping[str, str], started_at: datetime) -> JobState:
        """Notes another attempt, unless the job is decided."""
        job = self.jobs.setdefault(job_id, _Job())
        if job.decision is None:
            job.attempts += 1
            job.status, job.reason, job.rows_read = "running", "", 0
        is_committed = job.status == "committed"
        return JobState(job.attempts, job.decision, is_committed, job.has_chunks)

    def progress(self, job_id: str, rows_read: int) -> None:
        """Notes how many rows were read."""
        if job := self._undecided(job_id):
            job.rows_read = rows_read

    def note_trouble(self, job_id: str, code: str) -> None:
        """Notes why an attempt stopped."""
        if job := self._undecided(job_id):
            job.status, job.trouble = "waiting", code

    def recorded_chunk(self, job_id: str, name: str) -> Mapping[str, Any] | None:
        """None if nothing was recorded yet."""
        return self.chunks.get((job_id, name))

    def record_chunk(
        self, job_id: str, name: str, document: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The first record stands."""
        if job := self._undecided(job_id):
            job.has_chunks = True
        return self.chunks.setdefault((job_id, name), json.loads(json.dumps(document)))

    def claim(self, name: str, job_id: str) -> str:
        """The first claim of a job that does not fail holds."""
        owner = self.jobs.get(self.owners.setdefault(name, job_id))
        if owner is not None and owner.status == "failed":
            self.owners[name] = job_id
        return self.owners[name]

    def decide(self, job_id: str, decision: Decision, held: Sequence[str] = ()) -> Decision:
        """The first decision stands."""
        if job := self._undecided(job_id):
            if any(self.owners.get(name) != job_id for name in held):
                raise TransientError("claim_lost", "another job took it over")
            job.decision, job.status = decision, "publishing"
            job.rows_read = decision.receipt["rows_read"]
        standing = self._decision(job_id)
        if standing is None:
            raise TransientError("decision_unresolved", "the job never started")
        return standing

    def commit(self, job_id: str) -> None:
        """Notes that the decision has been carried out."""
        if self._decision(job_id) is not None:
            self.jobs[job_id].status, self.jobs[job_id].trouble = "committed", ""

    def fail(self, job_id: str, reason: str, detail: str) -> Decision | None:
        """Notes a failure, unless the job is decided."""
        if job := self._undecided(job_id):
            job.status, job.reason = "failed", reason
        return self._decision(job_id)

    def _undecided(self, job_id: str) -> _Job | None:
        job = self.jobs.get(job_id)
        return job if job is not None and job.decision is None else None

    def _decision(self, job_id: str) -> Decision | None:
        job = self.jobs.get(job_id)
        return job.decision if job is not None else None


class MemoryLayouts:
    """Layouts by name, from TOML documents."""

    def __init__(self, *documents: str) -> None:
        layouts = [parse_layout(document.encode()) for document in documents]
        self.layouts = {layout.name: layout for layout in layouts}

    def get(self, name: str) -> Layout:
        """Raises `PermanentError` `unknown_layout`."""
        if name not in self.layouts:
            raise PermanentError("unknown_layout")
        return self.layouts[name]


class MemoryDeadLetters:
    """Dead letters, in `letters`."""

    def __init__(self) -> None:
        self.letters: list[Mapping[str, Any]] = []

    def send(self, letter: Mapping[str, Any]) -> None:
        """Adds a dead letter."""
        self.letters.append(letter)


class NoCalls:
    """Nothing here calls AWS."""

    def snapshot(self) -> Mapping[str, Mapping[str, int]]:
        """Empty."""
        return {}


@dataclass
class MemoryWorld:
    """All ports in memory, with a fingerprint key in place."""

    entropy: Entropy
    layouts: MemoryLayouts = field(default_factory=MemoryLayouts)
    vault: MemoryVault = field(default_factory=MemoryVault)
    fingerprints: MemoryFingerprints = field(default_factory=MemoryFingerprints)
    data_keys: MemoryDataKeys = field(default_factory=MemoryDataKeys)
    quarantine: MemoryQuarantine = field(default_factory=MemoryQuarantine)
    tokenized: MemoryTokenized = field(default_factory=MemoryTokenized)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    dead_letters: MemoryDeadLetters = field(default_factory=MemoryDeadLetters)
    keys: MemoryKeys = field(init=False)

    def __post_init__(self) -> None:
        self.keys = MemoryKeys(self.entropy)
        data_key_id = fingerprint_data_key_id(FINGERPRINT_KEY_VERSION)
        context = {"purpose": "fingerprint", "data_key_id": data_key_id}
        _, record = self.keys.generate_data_key(data_key_id, context, A_MOMENT.isoformat())
        self.keys.generated = 0
        self.data_keys.insert_if_absent(record)

    def ports(self) -> Ports:
        """The bundle that a worker takes."""
        return Ports(
            quarantine=self.quarantine,
            tokenized=self.tokenized,
            vault=self.vault,
            fingerprints=SuccessiveFingerprints(self.fingerprints),
            data_key_records=self.data_keys,
            key_service=self.keys,
            ledger=self.ledger,
            layouts=self.layouts,
            dead_letters=self.dead_letters,
            calls=NoCalls(),
            clock=lambda: A_MOMENT,
            entropy=self.entropy,
        )


def sqs_event(*bodies: str, receive_count: int = 1) -> dict[str, Any]:
    """The event that Lambda gets for these message bodies."""
    return {
        "Records": [
            {
                "messageId": f"message-{at}",
                "receiptHandle": f"handle-{at}",
                "body": body,
                "attributes": {"ApproximateReceiveCount": str(receive_count)},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:work",
                "awsRegion": "us-east-1",
            }
            for at, body in enumerate(bodies)
        ]
    }


def s3_event(upload: Upload, event_name: str = "ObjectCreated:Put") -> str:
    """The message body that S3 sends about an object."""
    message = upload_message(upload)
    message["Records"][0]["eventName"] = event_name
    return json.dumps(message)
