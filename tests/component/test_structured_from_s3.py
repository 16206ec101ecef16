"""Formats that are read from any place, fetched from a bucket piece by piece."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pipeline.aws.s3_objects import S3Quarantine
from pipeline.errors import TransientError
from pipeline.model import SourceObject
from pipeline.readers import streams
from pipeline.readers.hashing import HashingReader
from pipeline.readers.members import read_members
from pipeline.readers.streams import LookAhead
from pipeline.readers.unpacking import unpacked
from pipeline.samples.cards import synthetic_pans
from tests.unit.structured import as_orc, as_parquet, as_xlsx, cells, document, keep, parsed

PANS = synthetic_pans(500, seed=81)
ROWS = [{"card": pan, "note": os.urandom(40).hex()} for pan in PANS]


def a_zip() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in (PANS[:250], PANS[250:]):
            text = "card,note\n" + "".join(f"{pan},{os.urandom(40).hex()}\n" for pan in part)
            archive.writestr(f"{len(archive.namelist())}.csv", text)
    return sink.getvalue()


FILES = {
    "parquet": as_parquet(ROWS, rows_a_group=100),
    "orc": as_orc(ROWS),
    "xlsx": as_xlsx(ROWS),
    "delimited": a_zip(),
}


@pytest.fixture
def bucket() -> Iterator[Any]:
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="quarantine")
        s3.put_bucket_versioning(Bucket="quarantine", VersioningConfiguration={"Status": "Enabled"})
        yield s3


def uploaded(s3: Any, body: bytes) -> SourceObject:
    version = s3.put_object(Bucket="quarantine", Key="incoming/x/a", Body=body)["VersionId"]
    return S3Quarantine(s3, "quarantine").find("incoming/x/a", version)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("limit_bytes", [1000, streams.MAX_BYTES_IN_MEMORY])
def test_a_file_is_read_from_a_bucket_however_large_it_is(
    bucket: Any, kind: str, limit_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_BYTES_IN_MEMORY", limit_bytes)
    source = uploaded(bucket, FILES[kind])
    requests: list[str] = []
    bucket.meta.events.register("before-send.s3.GetObject", lambda **_: requests.append("get"))
    layout = parsed(document(kind, keep("note")))
    with S3Quarantine(bucket, "quarantine").open(source) as stream:
        upload = HashingReader(stream, source.size_bytes)
        members = unpacked(upload, source.size_bytes, kind, lambda *_: pytest.fail("encrypted"))
        assert cells(list(read_members(members, layout)), "card") == PANS
    if limit_bytes > len(FILES[kind]):
        assert len(requests) == 1
        assert upload.sha256 is not None


class Failing(io.BytesIO):
    """A bucket that answers so often, and then no more."""

    answers = 0

    def read(self, size: int | None = -1) -> bytes:
        self.answers -= 1
        if self.answers < 0:
            raise TransientError("aws_unreachable")
        return super().read(size)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("limit_bytes", [1000, streams.MAX_BYTES_IN_MEMORY])
def test_trouble_on_the_way_from_the_bucket_is_not_taken_for_damage(
    kind: str, limit_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_BYTES_IN_MEMORY", limit_bytes)
    monkeypatch.setattr(streams, "PIECE_BYTES", 4096)
    layout, body = parsed(document(kind, keep("note"))), FILES[kind]
    failed = 0
    for answers in range(40):
        stream = Failing(body)
        stream.answers = answers
        try:
            upload = LookAhead(stream, len(body))
            members = unpacked(upload, len(body), kind, lambda *_: pytest.fail("encrypted"))
            assert cells(list(read_members(members, layout)), "card") == PANS
        except TransientError:
            failed += 1
    assert failed
