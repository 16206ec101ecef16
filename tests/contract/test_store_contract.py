"""What the quarantine and the tokenized store promise: in memory, on moto and on the engine."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pipeline.aws.s3_objects import S3Quarantine, S3Tokenized
from pipeline.errors import PermanentError, TransientError
from pipeline.model import SourceObject, Upload
from pipeline.ports import Quarantine, TokenizedStore
from pipeline.testing import MemoryQuarantine, MemoryTokenized

KEYS = [
    "incoming/x/a.csv",
    "incoming/x/with space.csv",
    "incoming/x/a+b.csv",
    "incoming/x/50%.csv",
    "incoming/x/%2B%20.csv",
    "incoming/x/a@b.csv",
    "incoming/x/a?b=c&d.csv",
    "incoming/x/#1.csv",
    "incoming/ü/Zahlungen – März.csv",
    "incoming/x/カード.csv",
    "incoming/x/a//b.csv",
]
PART_BYTES = 8 * 1024 * 1024


class CrashError(BaseException):
    """The end of a worker."""


@dataclass
class Stores:
    quarantine: Quarantine
    tokenized: TokenizedStore
    put: Callable[[str, bytes], Upload]
    delete: Callable[[Upload], None]
    content: Callable[[str], bytes | None]
    uris: Callable[[], list[str]]
    open_uploads: Callable[[], int]
    is_marked: Callable[[Upload], bool]


def _memory() -> Stores:
    quarantine, tokenized = MemoryQuarantine(), MemoryTokenized()

    def delete(upload: Upload) -> None:
        del quarantine.objects[upload.key, upload.version_id]

    return Stores(
        quarantine,
        tokenized,
        quarantine.put,
        delete,
        lambda uri: tokenized.objects.get(uri, quarantine.rejects.get(uri)),
        lambda: sorted([*tokenized.objects, *quarantine.rejects]),
        lambda: 0,
        lambda upload: (upload.key, upload.version_id) in quarantine.tokenized,
    )


@dataclass
class Bucket:
    """A versioned bucket, which serves as both of them here."""

    client: Any
    name: str = field(default_factory=lambda: f"contract-{os.urandom(6).hex()}")

    def __post_init__(self) -> None:
        self.client.create_bucket(Bucket=self.name)
        versioning = {"Status": "Enabled"}
        self.client.put_bucket_versioning(Bucket=self.name, VersioningConfiguration=versioning)

    def put(self, key: str, body: bytes) -> Upload:
        version_id = self.client.put_object(Bucket=self.name, Key=key, Body=body)["VersionId"]
        return Upload(self.name, key, version_id)

    def delete(self, upload: Upload) -> None:
        self.client.delete_object(Bucket=self.name, Key=upload.key, VersionId=upload.version_id)

    def uris(self) -> list[str]:
        listed = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return [f"s3://{self.name}/{item['Key']}" for item in listed]

    def content(self, uri: str) -> bytes | None:
        if uri not in self.uris():
            return None
        key = uri.removeprefix(f"s3://{self.name}/")
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def open_uploads(self) -> int:
        return len(self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", []))

    def tags(self, upload: Upload) -> list[dict[str, str]]:
        tags: list[dict[str, str]] = self.client.get_object_tagging(
            Bucket=self.name, Key=upload.key, VersionId=upload.version_id
        )["TagSet"]
        return tags

    @property
    def stores(self) -> Stores:
        return Stores(
            S3Quarantine(self.client, self.name),
            S3Tokenized(self.client, self.name, self.name),
            self.put,
            self.delete,
            self.content,
            self.uris,
            self.open_uploads,
            lambda upload: {"Key": "pantok", "Value": "tokenized"} in self.tags(upload),
        )


@pytest.fixture(scope="module")
def clients(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Makes each client once: that takes longer than a test."""

    @functools.cache
    def client(service: str) -> Any:
        if service == "engine":
            return request.getfixturevalue("local_stack").client("s3")
        return boto3.client("s3")

    return client


@pytest.fixture(params=["memory", "moto", "engine"])
def stores(request: pytest.FixtureRequest, clients: Callable[[str], Any]) -> Iterator[Stores]:
    if request.param == "memory":
        yield _memory()
    else:
        with mock_aws() if request.param == "moto" else nullcontext():
            yield Bucket(clients(request.param)).stores


def _read(stores: Stores, source: SourceObject) -> bytes:
    with stores.quarantine.open(source) as stream:
        return stream.read()


# The quarantine


@pytest.mark.parametrize("key", KEYS)
def test_the_version_of_the_event_is_read_when_a_newer_one_is_there(
    stores: Stores, key: str
) -> None:
    old, newer = stores.put(key, b"old"), stores.put(key, b"newer")
    sources = [stores.quarantine.find(each.key, each.version_id) for each in (old, newer)]
    assert [source.size_bytes for source in sources] == [3, 5]
    assert [_read(stores, source) for source in sources] == [b"old", b"newer"]
    stores.quarantine.mark_tokenized(old.key, old.version_id)
    assert [stores.is_marked(each) for each in (old, newer)] == [True, False]


def test_a_stream_gives_as_much_as_it_is_asked_for(stores: Stores) -> None:
    body = os.urandom(3_000_000)
    upload = stores.put("incoming/x/a.csv", body)
    source = stores.quarantine.find(upload.key, upload.version_id)
    with stores.quarantine.open(source) as stream:
        pieces = [stream.read(10), stream.read(1 << 20), stream.read(0), stream.read(-1)]
        assert stream.read(10) == b""
    assert [len(piece) for piece in pieces[:3]] == [10, 1 << 20, 0]
    assert b"".join(pieces) == body


def test_an_empty_source_is_read_as_nothing(stores: Stores) -> None:
    upload = stores.put("incoming/x/empty.csv", b"")
    assert _read(stores, stores.quarantine.find(upload.key, upload.version_id)) == b""


def test_a_source_that_was_deleted_is_missing_and_needs_no_mark(stores: Stores) -> None:
    upload = stores.put("incoming/x/a.csv", b"x")
    source = stores.quarantine.find(upload.key, upload.version_id)
    stores.delete(upload)
    with pytest.raises(PermanentError, match="source_missing"):
        stores.quarantine.find(upload.key, upload.version_id)
    with pytest.raises(PermanentError, match="source_missing"):
        _read(stores, source)
    stores.quarantine.mark_tokenized(upload.key, upload.version_id)


def test_rejected_rows_are_where_their_uri_says_once_they_are_complete(stores: Stores) -> None:
    uri = stores.quarantine.rejects_uri("job", "attempt")
    with stores.quarantine.open_rejects("job", "attempt") as sink:
        sink.write(b"row")
        assert stores.content(uri) is None
    assert stores.content(uri) == b"row"
    with stores.quarantine.open_rejected(uri) as source:
        assert source.read() == b"row"


def test_rejected_rows_that_are_not_kept_any_more_are_missing(stores: Stores) -> None:
    uri = stores.quarantine.rejects_uri("job", "attempt")
    with (
        pytest.raises(PermanentError, match="source_missing"),
        stores.quarantine.open_rejected(uri) as source,
    ):
        source.read()


def test_digests_are_kept_between_the_chunks_of_a_job(stores: Stores) -> None:
    stores.quarantine.keep_digests("job", "attempt", "seen", b"12345678")
    stores.quarantine.keep_digests("job", "attempt", "distinct", b"")
    assert stores.quarantine.kept_digests("job", "attempt", "seen") == b"12345678"
    assert stores.quarantine.kept_digests("job", "attempt", "seen", 2, 3) == b"345"
    assert stores.quarantine.kept_digests("job", "attempt", "distinct") == b""


def test_a_source_can_be_read_from_any_place(stores: Stores) -> None:
    body = os.urandom(3_000_000)
    upload = stores.put("incoming/x/a.csv", body)
    with stores.quarantine.open(stores.quarantine.find(upload.key, upload.version_id)) as stream:
        for offset in (2_900_000, 0, 1, 2_999_999, 3_000_000):
            stream.seek(offset)
            read = b"".join(iter(lambda: stream.read(1_000_000), b""))
            assert read == body[offset:]


# Staged parts


@pytest.mark.parametrize("size_bytes", [0, 1, PART_BYTES, 2 * PART_BYTES + 1])
def test_a_staged_part_is_complete_when_its_context_ends(stores: Stores, size_bytes: int) -> None:
    body = os.urandom(1024) * (size_bytes // 1024) + b"x" * (size_bytes % 1024)
    with stores.tokenized.stage("job", "attempt", 0) as sink:
        sink.write(body)
    assert stores.content(stores.tokenized.staged_uri("job", "attempt", 0)) == body
    assert stores.open_uploads() == 0


@pytest.mark.parametrize("error", [ValueError, TransientError, CrashError])
@pytest.mark.parametrize("size_bytes", [1, PART_BYTES + 1])
def test_what_is_left_with_an_exception_does_not_exist(
    stores: Stores, error: type[BaseException], size_bytes: int
) -> None:
    def write_and_fail(context: Any) -> None:
        with context as sink:
            sink.write(b"x" * size_bytes)
            raise error("code")

    for context in (
        stores.tokenized.stage("job", "attempt", 0),
        stores.quarantine.open_rejects("job", "attempt"),
    ):
        with pytest.raises(error):
            write_and_fail(context)
    assert stores.uris() == []
    assert stores.open_uploads() == 0


def _staged(stores: Stores, body: bytes = b"part", attempt_id: str = "attempt") -> tuple[str, str]:
    with stores.tokenized.stage("job", attempt_id, 0) as sink:
        sink.write(body)
    return (
        stores.tokenized.staged_uri("job", attempt_id, 0),
        stores.tokenized.part_uri("x", "2026-11-23", "job", 0),
    )


def test_a_staged_part_is_out_of_sight_until_it_is_published(stores: Stores) -> None:
    staged, uri = _staged(stores)
    assert stores.uris() == [staged]
    assert "/staging/" in staged
    stores.tokenized.publish(staged, uri)
    assert stores.content(uri) == b"part"
    assert "/data/layout=x/date=2026-11-23/job/part-00000.parquet" in uri


def test_publishing_twice_is_harmless_also_when_the_staged_part_is_gone(stores: Stores) -> None:
    staged, uri = _staged(stores)
    stores.tokenized.publish(staged, uri)
    stores.tokenized.publish(staged, uri)
    for _ in range(2):
        stores.tokenized.discard_staged([staged])
    stores.tokenized.publish(staged, uri)
    assert stores.uris() == [uri]
    assert stores.content(uri) == b"part"


def test_publishing_what_never_was_is_an_error(stores: Stores) -> None:
    staged = stores.tokenized.staged_uri("job", "attempt", 0)
    with pytest.raises(TransientError):
        stores.tokenized.publish(staged, stores.tokenized.part_uri("x", "d", "job", 0))


def test_two_attempts_stage_side_by_side(stores: Stores) -> None:
    (first, uri), (second, _) = _staged(stores, b"a", "one"), _staged(stores, b"b", "two")
    stores.tokenized.discard_staged([second])
    stores.tokenized.publish(first, uri)
    assert stores.content(uri) == b"a"


# Receipts


def _receipt(status: str, note: str = "") -> dict[str, Any]:
    return {"job_id": "job", "status": status, "note": note}


def test_there_is_no_receipt_before_one_is_written(stores: Stores) -> None:
    assert stores.tokenized.get_receipt("job") is None


def test_a_failed_receipt_gives_way_and_a_committed_one_stays(stores: Stores) -> None:
    written = [
        _receipt(status, str(at))
        for at, status in enumerate(["failed", "failed", "committed", "failed", "committed"])
    ]
    seen = []
    for receipt in written:
        stores.tokenized.put_receipt(receipt)
        seen.append(stores.tokenized.get_receipt("job"))
    assert seen == [written[0], written[1], written[2], written[2], written[2]]


def test_of_writers_that_race_exactly_one_commits(local_stack: Any) -> None:
    bucket = Bucket(local_stack.client("s3"))
    bucket.stores.tokenized.put_receipt(_receipt("failed"))
    receipts = [_receipt("committed", str(at)) for at in range(6)]
    receipts += [_receipt("failed", str(at)) for at in range(2)]
    clients = [local_stack.client("s3") for _ in receipts]
    writers = [
        threading.Thread(
            target=S3Tokenized(client, bucket.name, bucket.name).put_receipt, args=[receipt]
        )
        for client, receipt in zip(clients, receipts, strict=True)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert bucket.stores.tokenized.get_receipt("job") in receipts[:6]
    listed = bucket.client.list_object_versions(Bucket=bucket.name, Prefix="receipts/")
    keys = {"Bucket": bucket.name, "Key": "receipts/job.json"}
    bodies = [
        bucket.client.get_object(**keys, VersionId=version["VersionId"])["Body"].read()
        for version in listed["Versions"]
    ]
    assert sum(b'"committed"' in body for body in bodies) == 1
    assert b'"committed"' in bodies[0]
