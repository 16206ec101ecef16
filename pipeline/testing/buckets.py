"""Both buckets, in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO

from pipeline.errors import PermanentError, TransientError
from pipeline.model import SourceObject, Upload

A_MOMENT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


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
