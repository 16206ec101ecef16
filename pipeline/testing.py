"""The world outside, in memory, for our tests and for a user's; and events as AWS sends them.

Each class keeps the promises of its Protocol in `ports.py`; the same contract suite runs on these
and on the AWS adapters.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipeline.core.bulk import Approval, BulkJob
from pipeline.core.envelope import DATA_KEY_BYTES, NONCE_BYTES, Entropy
from pipeline.core.folders import parse_folder_rules
from pipeline.core.jobs import layout_name_of, repaired_job_of
from pipeline.core.keyring import KeyRing
from pipeline.core.layouts import Layout, parse_layout
from pipeline.core.limits import Usage
from pipeline.core.messages import upload_message
from pipeline.errors import PermanentError, TransientError
from pipeline.keys import FINGERPRINT_KEY_VERSION, fingerprint_data_key_id
from pipeline.model import (
    DataKey,
    Decision,
    FanOut,
    JobState,
    PrivateKey,
    SealedPan,
    SealedPans,
    SourceObject,
    Upload,
    WrappedDataKey,
)
from pipeline.ports import Ports
from pipeline.succession import SuccessiveFingerprints

T = TypeVar("T")

A_MOMENT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class InTurn:
    """A `Crew` that takes one step after the other."""

    def run(
        self, steps: Iterable[Coroutine[Any, Any, T]], has_time: Callable[[], bool] = lambda: True
    ) -> list[T]:
        """What the steps return; they may not wait for anything."""
        return [result_of(step) for step in steps]


def result_of(step: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that does not wait for anything."""
    try:
        step.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    step.close()
    raise RuntimeError("the step waits for something")


class MemoryVault:
    """Sealed PANs by token, in `rows`."""

    def __init__(self) -> None:
        self.rows: dict[str, SealedPan] = {}

    async def insert_if_absent(self, sealed: SealedPans) -> None:
        """A row that is there already stays."""
        for row in sealed.rows():
            self.rows.setdefault(row.token, row)


class MemoryFingerprints:
    """Tokens by fingerprint, in `tokens`."""

    def __init__(self) -> None:
        self.tokens: dict[bytes, str] = {}

    async def look_up(self, fingerprints: Sequence[bytes]) -> Sequence[str | None]:
        """The known ones."""
        return [self.tokens.get(each) for each in fingerprints]

    async def claim(self, fingerprints: Sequence[bytes], tokens: Sequence[str]) -> Sequence[str]:
        """The first claim of a fingerprint holds."""
        return [self.tokens.setdefault(*claim) for claim in zip(fingerprints, tokens, strict=True)]


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


class MemoryDecryptionKeys:
    """Private keys by the name that a layout has for them, in `keys`."""

    def __init__(self) -> None:
        self.keys: dict[str, PrivateKey] = {}

    def get(self, uri: str) -> PrivateKey:
        """Raises `PermanentError` `decryption_key_missing`."""
        if uri not in self.keys:
            raise PermanentError("decryption_key_missing", uri)
        return self.keys[uri]


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

    def kept_digests(
        self, job_id: str, attempt_id: str, kind: str, start: int = 0, size_bytes: int | None = None
    ) -> bytes:
        """What was kept, or so many bytes of it."""
        end = None if size_bytes is None else start + size_bytes
        return self.digests[job_id, attempt_id, kind][start:end]

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

    @contextmanager
    def open_staged(self, staged_uri: str) -> Iterator[BinaryIO]:
        """Raises `TransientError` if nothing is staged."""
        if staged_uri not in self.objects:
            raise TransientError("aws_error", "nothing is staged")
        yield io.BytesIO(self.objects[staged_uri])

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
    has_failed: bool = False
    planned: int | None = None
    done: frozenset[int] = frozenset()
    sha256: str | None = None


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

    def fan_out(self, job_id: str) -> FanOut:
        """How far the chunks are."""
        job = self.jobs.get(job_id, _Job())
        return FanOut(
            job.planned,
            job.done,
            job.sha256,
            is_failed=job.status == "failed",
            has_failed=job.has_failed,
            decision=job.decision,
        )

    def finish_plan(self, job_id: str, chunks: int, source_sha256: str | None) -> FanOut:
        """The first plan stands."""
        if (job := self._undecided(job_id)) and job.planned is None:
            job.planned, job.sha256 = chunks, source_sha256
        return self.fan_out(job_id)

    def finish_chunk(self, job_id: str, ordinal: int) -> FanOut:
        """Notes that it is worked off."""
        if job := self._undecided(job_id):
            job.done |= {ordinal}
        return self.fan_out(job_id)

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
            job.status, job.reason, job.has_failed = "failed", reason, True
        return self._decision(job_id)

    def _undecided(self, job_id: str) -> _Job | None:
        job = self.jobs.get(job_id)
        return job if job is not None and job.decision is None else None

    def _decision(self, job_id: str) -> Decision | None:
        job = self.jobs.get(job_id)
        return job.decision if job is not None else None


class MemoryLayouts:
    """Layouts by name, from TOML documents; `folders` is the document of the rules for folders."""

    def __init__(self, *documents: str, folders: str = "") -> None:
        layouts = [parse_layout(document.encode()) for document in documents]
        self.layouts = {layout.name: layout for layout in layouts}
        self.folders = folders

    def name_for(self, key: str) -> str:
        """What the rules say, or else the key."""
        own_name = layout_name_of(key)
        if repaired_job_of(key) is not None:
            return own_name
        return parse_folder_rules(self.folders.encode()).layout_for(key) or own_name

    def get(self, name: str) -> Layout:
        """Raises `PermanentError` `unknown_layout`."""
        if name not in self.layouts:
            raise PermanentError("unknown_layout")
        return self.layouts[name]


class MemoryWorkQueue:
    """Messages in `messages`, the earliest first."""

    def __init__(self) -> None:
        self.messages: list[Mapping[str, Any]] = []
        self.postponed: list[tuple[str, int]] = []

    def send_all(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Adds messages."""
        self.messages += json.loads(json.dumps(messages))

    def postpone(self, receipt_handle: str, seconds: int) -> None:
        """Takes note in `postponed`."""
        self.postponed.append((receipt_handle, seconds))


class MemoryDeadLetters:
    """Dead letters, in `letters`."""

    def __init__(self) -> None:
        self.letters: list[Mapping[str, Any]] = []

    def send(self, letter: Mapping[str, Any]) -> None:
        """Adds a dead letter."""
        self.letters.append(letter)


class MemoryVaultReader:
    """Reads a vault in memory."""

    def __init__(self, vault: MemoryVault) -> None:
        self._vault = vault

    def get(self, tokens: Sequence[str]) -> Mapping[str, SealedPan]:
        """The rows of those tokens that exist."""
        return {each: self._vault.rows[each] for each in tokens if each in self._vault.rows}


class MemoryGrants:
    """A grants document, in `document`."""

    def __init__(self, document: str = "") -> None:
        self.document = document

    def read(self) -> bytes:
        """The TOML document."""
        return self.document.encode()


class MemoryUsages:
    """What callers had, in `usages`."""

    def __init__(self) -> None:
        self.usages: dict[str, Usage] = {}

    def add(self, counter: str, usage: Usage, limits: tuple[int, int], now: str) -> bool:
        """Adds within the window and the limits, unless locked."""
        seen = self.usages.get(counter)
        if seen is None or seen.window.minute != usage.window.minute or seen.locked_until > now:
            return False
        minute_tokens = seen.minute_tokens + usage.minute_tokens
        day_tokens = seen.day_tokens + usage.day_tokens
        if minute_tokens > limits[0] or day_tokens > limits[1]:
            return False
        self.usages[counter] = replace(seen, minute_tokens=minute_tokens, day_tokens=day_tokens)
        return True

    def get(self, counter: str) -> Usage | None:
        """None if nobody counted yet."""
        return self.usages.get(counter)

    def replace(self, counter: str, seen: Usage | None, usage: Usage) -> None:
        """Only what was seen is replaced."""
        if self.usages.get(counter) == seen:
            self.usages[counter] = usage

    def note_unknown(self, counter: str, count: int) -> Usage:
        """Adds unknown tokens."""
        seen = self.usages[counter]
        self.usages[counter] = replace(
            seen,
            minute_unknown=seen.minute_unknown + count,
            day_unknown=seen.day_unknown + count,
        )
        return self.usages[counter]

    def lock(self, counter: str, until: str) -> None:
        """Lets nothing be added until then."""
        self.usages[counter] = replace(self.usages[counter], locked_until=until)


class MemoryApprovals:
    """Wrapped keys and approvals of bulk jobs: `approve` stands for somebody else.

    With `lists_retired`, approvals that have ended are still found, as in KMS for some minutes.
    """

    def __init__(self) -> None:
        self.wrapped: dict[bytes, BulkJob] = {}
        self.approvals: dict[BulkJob, Approval] = {}
        self.lists_retired = False
        self._retired: dict[BulkJob, Approval] = {}

    def describe(self, job: BulkJob) -> bytes:
        """A wrapped key, which is nothing but a number here."""
        wrapped_key = f"wrapped key {len(self.wrapped)}".encode()
        self.wrapped[wrapped_key] = job
        return wrapped_key

    def approve(self, job: BulkJob, made_at: datetime = A_MOMENT) -> None:
        """Approves exactly this job."""
        self.approvals[job] = Approval(f"grant {job.job_id}", made_at)

    def find(self, job: BulkJob) -> Sequence[Approval]:
        """One at most."""
        listed = {**self._retired, **self.approvals} if self.lists_retired else self.approvals
        return [listed[job]] if job in listed else []

    def proves(self, job: BulkJob, wrapped_key: bytes) -> bool:
        """Only an approved job's own key is unwrapped."""
        return job in self.approvals and self.wrapped.get(wrapped_key) == job

    def end(self, approval: Approval) -> None:
        """Forgets it."""
        self._retired |= {job: each for job, each in self.approvals.items() if each == approval}
        self.approvals = {job: each for job, each in self.approvals.items() if each != approval}


class MemoryAuditLog:
    """Records of accesses, in `lines`; fails while `is_down`."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.is_down = False

    def write(self, line: str, at: datetime) -> None:
        """Raises `TransientError` while it is down."""
        if self.is_down:
            raise TransientError("aws_unreachable", "logs:PutLogEvents")
        self.lines.append(line)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records as documents."""
        return [json.loads(line) for line in self.lines]


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
    work_queue: MemoryWorkQueue = field(default_factory=MemoryWorkQueue)
    dead_letters: MemoryDeadLetters = field(default_factory=MemoryDeadLetters)
    decryption_keys: MemoryDecryptionKeys = field(default_factory=MemoryDecryptionKeys)
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
            crew=InTurn(),
            vault=self.vault,
            fingerprints=SuccessiveFingerprints(self.fingerprints),
            data_key_records=self.data_keys,
            key_service=self.keys,
            ledger=self.ledger,
            layouts=self.layouts,
            work_queue=self.work_queue,
            dead_letters=self.dead_letters,
            calls=NoCalls(),
            clock=lambda: A_MOMENT,
            entropy=self.entropy,
            decryption_keys=self.decryption_keys,
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


def api_event(
    method: str,
    path: str,
    body: str | None = None,
    *,
    user_arn: str | None = "arn:aws:iam::000000000000:user/someone",
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The event that a function gets from a REST API of API Gateway with IAM authorisation."""
    sent = {"content-type": "application/json", **(headers or {})}
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "api",
            "httpMethod": method,
            "identity": {"userArn": user_arn, "sourceIp": "192.0.2.7"},
            "path": path,
            "requestId": "6e0e6d16-7ea0-4dba-9c7f-0a1b2c3d4e5f",
            "stage": "v1",
        },
        "body": body,
        "isBase64Encoded": False,
    }
