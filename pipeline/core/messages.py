"""What a message of the work queue asks for, and what a dead letter says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import UnionType
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from pipeline import __version__
from pipeline.core.guard import MIN_RUN_DIGITS, REDACTED, could_hold_pan, redacted
from pipeline.core.jobs import is_intake, layout_name_of
from pipeline.core.leaks import holds_pan
from pipeline.core.receipts import iso_time
from pipeline.errors import PermanentError
from pipeline.model import ChunkTask, Upload

KIND_PREFIX = "pantok."  # of the documents that are our own
DEAD_LETTER_KIND = f"{KIND_PREFIX}dead-letter"
CHUNK_KIND = f"{KIND_PREFIX}chunk"
MAX_ORDINAL = 10**6  # of a chunk
MAX_ATTEMPTS = 10**9  # that a message may claim
MAX_QUOTED_CHARACTERS = 64 * 1024  # of a message that could not be understood
UNVERSIONED = "null"  # how S3 calls the version of an object in an unversioned bucket


_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class WorkMessage:
    """A message, understood.

    `uploads` are to be tokenized, `chunks` are planned parts of such; `ignored` counts events that
    ask for nothing (test events, deletions, objects outside the intake); `refused` is the reason
    why the message, or a part of it, cannot be worked off, or empty; `earlier_attempts` counts
    those before it was replayed.
    """

    uploads: Sequence[Upload] = ()
    chunks: Sequence[ChunkTask] = ()
    ignored: int = 0
    refused: str = ""
    earlier_attempts: int = 0


def parse_message(body: str, quarantine_bucket: str) -> WorkMessage:
    """What an SQS message body asks for; never raises, whatever the body holds."""
    try:
        unverified = json.loads(body)
    except (ValueError, RecursionError):
        return WorkMessage(refused="malformed_message")
    if not isinstance(unverified, dict):
        return WorkMessage(refused="malformed_message")
    if str(unverified.get("kind", "")).startswith(KIND_PREFIX):
        return _parse_own(unverified, quarantine_bucket)
    if unverified.get("Event") == "s3:TestEvent":
        return WorkMessage(ignored=1)
    records = unverified.get("Records")
    if not isinstance(records, list) or not records:
        return WorkMessage(refused="malformed_message")
    parts = [_parse_record(record, quarantine_bucket) for record in records]
    return _merged(parts, _attempts(unverified))


def _parse_own(unverified: Mapping[str, Any], quarantine_bucket: str) -> WorkMessage:
    """A message that a worker sent, perhaps one of another version of the product."""
    if unverified["kind"] != CHUNK_KIND:
        return WorkMessage(refused="unknown_message_kind")
    task = _chunk_task(unverified)
    if task is None:
        return WorkMessage(refused="malformed_message")
    if task.upload.bucket != quarantine_bucket:
        return WorkMessage(refused="foreign_bucket")
    return WorkMessage(chunks=(task,), earlier_attempts=_attempts(unverified))


def _chunk_task(unverified: Mapping[str, Any]) -> ChunkTask | None:
    ordinal, upload = unverified.get("chunk"), unverified.get("upload")
    if not isinstance(ordinal, int) or isinstance(ordinal, bool) or not isinstance(upload, dict):
        return None
    names = [upload.get(name) for name in ("bucket", "key", "version_id")]
    if not 0 <= ordinal <= MAX_ORDINAL or not all(map(_is_text, names)):
        return None
    bucket, key, version_id = map(str, names)
    return ChunkTask(Upload(bucket, key, version_id), ordinal) if is_intake(key) else None


def chunk_message(task: ChunkTask) -> dict[str, Any]:
    """The message that asks for a planned chunk."""
    upload = task.upload
    named = {"bucket": upload.bucket, "key": upload.key, "version_id": upload.version_id}
    return {"kind": CHUNK_KIND, "upload": named, "chunk": task.ordinal}


def _attempts(unverified: Mapping[str, Any]) -> int:
    """The attempts that a message claims; none if that is not a number to be counted with."""
    claimed = unverified.get("attempts")
    if isinstance(claimed, int) and 0 <= claimed <= MAX_ATTEMPTS:
        return int(claimed)
    return 0


def _merged(parts: Sequence[WorkMessage], earlier_attempts: int) -> WorkMessage:
    return WorkMessage(
        earlier_attempts=earlier_attempts,
        uploads=tuple(upload for part in parts for upload in part.uploads),
        ignored=sum(part.ignored for part in parts),
        refused=next((part.refused for part in parts if part.refused), ""),
    )


def _parse_record(unverified: Any, quarantine_bucket: str) -> WorkMessage:
    try:
        sender, event = unverified["eventSource"], unverified["eventName"]
        bucket = unverified["s3"]["bucket"]["name"]
        key = unquote_plus(unverified["s3"]["object"]["key"])
        version_id = unverified["s3"]["object"].get("versionId", UNVERSIONED)
    except (KeyError, TypeError, AttributeError):
        return WorkMessage(refused="malformed_message")
    if not all(map(_is_text, (sender, event, bucket, key, version_id))):
        return WorkMessage(refused="malformed_message")
    if sender != "aws:s3":
        return WorkMessage(refused="unknown_sender")
    if bucket != quarantine_bucket:
        return WorkMessage(refused="foreign_bucket")
    if not event.removeprefix("s3:").startswith("ObjectCreated:") or not is_intake(key):
        return WorkMessage(ignored=1)
    return WorkMessage(uploads=(Upload(bucket, key, version_id),))


def _is_text(unverified: object) -> bool:
    """Whether it is a string that UTF-8 can hold; JSON can spell half a character too."""
    return isinstance(unverified, str) and not _SURROGATE.search(unverified)


def upload_message(upload: Upload) -> dict[str, Any]:
    """The least message that asks for this upload, as S3 would send it."""
    s3_object = {"key": quote_plus(upload.key, safe="/"), "versionId": upload.version_id}
    s3 = {"bucket": {"name": upload.bucket}, "object": s3_object}
    return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}]}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something ended in the dead-letter queue."""

    reason: str
    detail: str
    attempts: int
    failed_at: datetime


def dead_letter_of_upload(upload: Upload, failure: Failure) -> dict[str, Any]:
    """A dead letter that can be replayed, unless the object's name holds a PAN: that stays out."""
    is_clean = _is_clean(upload)
    version_id = upload.version_id if is_clean else redacted(upload.version_id)
    return _dead_letter(failure) | {
        "job_id": shown_job_id(upload),
        "layout": _layout_of(upload),
        "source": {"uri": _without_pan(upload.uri), "version_id": version_id},
        "message": upload_message(upload) if is_clean else None,
    }


def shown_job_id(upload: Upload) -> str | None:
    """The job's id, where it may be shown: None for an object whose name holds a PAN.

    The id is a hash of that name, without a key: who knows the rest of it can try all PANs.
    """
    return upload.job_id if _is_clean(upload) else None


def _is_clean(upload: Upload) -> bool:
    return not any(map(holds_pan, (upload.bucket, upload.key, _digits(upload.version_id))))


def _without_pan(uri: str) -> str:
    """The URI with its PANs taken out; nothing of it where they stand in another form."""
    clean = redacted(uri)
    return REDACTED if holds_pan(clean) else clean


def _digits(version_id: str) -> str:
    """A version's name if it is nothing but digits: S3 makes them of letters and digits at random,
    some other engines as UUIDs, in which the digits of a card stand by chance now and then.
    """
    return "" if any(map(str.isalpha, version_id)) else version_id


def dead_letter_of_message(body: str, failure: Failure) -> dict[str, Any]:
    """A dead letter for a message that could not be understood: quoted if it holds no PAN.

    As it is anybody's message, a mistyped PAN may stand there: so many digits are not quoted. Nor
    is there a digest then: of a short message, PANs could be tried until one fits.
    """
    is_clean = not could_hold_pan(body, MIN_RUN_DIGITS) and not holds_pan(body)
    digest = hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
    return _dead_letter(failure) | {
        "message_text": body if is_clean and len(body) <= MAX_QUOTED_CHARACTERS else None,
        "message_sha256": digest if is_clean else None,
        "message_characters": len(body),
    }


def _dead_letter(failure: Failure) -> dict[str, Any]:
    return {
        "kind": DEAD_LETTER_KIND,
        "reason": failure.reason,
        "detail": redacted(failure.detail),
        "attempts": failure.attempts,
        "failed_at": iso_time(failure.failed_at),
        "pipeline_version": __version__,
        "job_id": None,
        "layout": None,
        "source": None,
        "message": None,
    }


def read_dead_letter(body: str, sent_at: datetime, deliveries: int = 0) -> Mapping[str, Any]:
    """A dead letter as the worker wrote it, or one made for a message that SQS moved by itself.

    `deliveries` is how often SQS delivers a message before it moves it. What a letter of another
    version of pantok does not say, or says otherwise, is filled in.
    """
    try:
        unverified = json.loads(body)
    except (ValueError, RecursionError):
        unverified = None
    if isinstance(unverified, dict) and unverified.get("kind") == DEAD_LETTER_KIND:
        return _completed(unverified, sent_at)
    document = unverified if isinstance(unverified, dict) else {}
    attempts = _attempts(document) + deliveries
    failure = Failure("worker_died", "every attempt ended without a word", attempts, sent_at)
    if document.get("kind") == CHUNK_KIND and (task := _chunk_task(document)):
        return dead_letter_of_upload(task.upload, failure)
    records = document.get("Records")
    if isinstance(records, list) and len(records) == 1:
        parsed = _parse_record(records[0], _bucket_of(records[0]))
        if parsed.uploads:
            return dead_letter_of_upload(parsed.uploads[0], failure)
    return dead_letter_of_message(body, failure)


def _completed(unverified: Mapping[str, Any], sent_at: datetime) -> dict[str, Any]:
    """The letter with all that letters of this version have."""
    blank = _dead_letter(Failure("unknown", "the letter does not say why", 0, sent_at))
    said = {name: value for name, value in unverified.items() if _fits(name, value)}
    return blank | {"pipeline_version": None} | {name: _without_pans(said[name]) for name in said}


def _without_pans(value: Any) -> Any:
    """What can be shown of a part of a letter, whoever sent it: nothing of a text with a PAN.

    Of a message with one nothing is left at all: it is not to be sent again.
    """
    if isinstance(value, dict):
        is_clean = not any(map(holds_pan, _texts(value)))
        return value if is_clean else None
    return _without_pan(value) if isinstance(value, str) else value


def _texts(value: Any, name: str = "") -> Iterator[str]:
    """All texts in a document, names of members included."""
    if isinstance(value, dict):
        for each, inner in value.items():
            yield each
            yield from _texts(inner, each)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, name)
    elif name in ("versionId", "version_id"):
        yield _digits(str(value))
    else:
        yield str(value)


def _fits(name: str, value: object) -> bool:
    if name == "failed_at":
        return _is_time(value)
    if name == "attempts":
        return isinstance(value, int) and 0 <= value <= MAX_ATTEMPTS
    return isinstance(value, _LETTER_TYPES.get(name, object))


_LETTER_TYPES: Mapping[str, type | UnionType] = {
    "reason": str,
    "detail": str,
    "pipeline_version": str,
    "job_id": str | None,
    "layout": str | None,
    "source": dict | None,
    "message": dict | None,
}


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _bucket_of(unverified: Any) -> str:
    try:
        return str(unverified["s3"]["bucket"]["name"])
    except (KeyError, TypeError):
        return ""


def _layout_of(upload: Upload) -> str:
    try:
        return layout_name_of(upload.key)
    except PermanentError:
        return ""


def replayable_message(letter: Mapping[str, Any]) -> str | None:
    """The message to send again for a dead letter; None when it cannot be replayed.

    It says how often it was tried before.
    """
    message = letter.get("message")
    if not isinstance(message, dict):
        return None
    return json.dumps({**message, "attempts": _attempts(letter)})
