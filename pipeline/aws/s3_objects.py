"""The quarantine and the tokenized bucket."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import orjson
import smart_open.s3
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.faults import error_code, transient, translated
from pipeline.aws.s3_writing import written
from pipeline.errors import PermanentError, TransientError
from pipeline.model import SourceObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectRequestTypeDef

READ_BUFFER_BYTES = 1024 * 1024
RECEIPT_TRIES = 5

_GONE = frozenset(
    {"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "404", "405", "MethodNotAllowed", "NotFound"}
)
_PRECONDITION_FAILED = frozenset({"PreconditionFailed", "412"})
_RACING = frozenset({"ConditionalRequestConflict", "409"})


class S3Quarantine:
    """Uploads under `incoming/`, rejected rows under `rejects/`, digests under `staging/`."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def find(self, key: str, version_id: str) -> SourceObject:
        """What is known of an upload; raises `PermanentError` `source_missing`."""
        with _gone_is_missing("s3:HeadObject"):
            head = self._client.head_object(Bucket=self._bucket, Key=key, VersionId=version_id)
        return SourceObject(
            self._bucket, key, version_id, head["ContentLength"], head["LastModified"]
        )

    def open(self, source: SourceObject) -> AbstractContextManager[BinaryIO]:
        """The bytes of that version, as a stream."""
        return self._open(source.key, source.version_id)

    def open_rejected(self, uri: str) -> AbstractContextManager[BinaryIO]:
        """A finished rejects file."""
        return self._open(_key(uri), None)

    @contextmanager
    def _open(self, key: str, version_id: str | None) -> Iterator[BinaryIO]:
        with _gone_is_missing("s3:GetObject"):
            stream = smart_open.s3.open(
                self._bucket,
                key,
                "rb",
                version_id=version_id,
                buffer_size=READ_BUFFER_BYTES,
                client=self._client,
            )
        with stream:
            yield cast("BinaryIO", _TranslatingReader(stream))

    def open_rejects(self, job_id: str, attempt_id: str) -> AbstractContextManager[BinaryIO]:
        """A new rejects file; it exists once the context ends without an exception."""
        return written(self._client, self._bucket, _rejects_key(job_id, attempt_id))

    def rejects_uri(self, job_id: str, attempt_id: str) -> str:
        """Where that rejects file is."""
        return f"s3://{self._bucket}/{_rejects_key(job_id, attempt_id)}"

    def keep_digests(self, job_id: str, attempt_id: str, kind: str, content: bytes) -> None:
        """Keeps digests of a chunk's PANs for those who work off the rest of the file."""
        with translated("s3:PutObject"):
            self._client.put_object(
                Bucket=self._bucket, Key=_digests_key(job_id, attempt_id, kind), Body=content
            )

    def kept_digests(
        self, job_id: str, attempt_id: str, kind: str, start: int = 0, size_bytes: int | None = None
    ) -> bytes:
        """What was kept, or so many bytes of it."""
        some: GetObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": _digests_key(job_id, attempt_id, kind),
        }
        if size_bytes is not None:
            some["Range"] = f"bytes={start}-{start + size_bytes - 1}"
        with translated("s3:GetObject"):
            return self._client.get_object(**some)["Body"].read()

    def mark_tokenized(self, key: str, version_id: str) -> None:
        """Tags the source for its lifecycle; a source that is gone needs no tag.

        There are no other tags to keep: nobody else may tag what is in quarantine.
        """
        with translated("s3:PutObjectTagging"):
            try:
                self._client.put_object_tagging(
                    Bucket=self._bucket,
                    Key=key,
                    VersionId=version_id,
                    Tagging={"TagSet": [{"Key": "pantok", "Value": "tokenized"}]},
                )
            except ClientError as error:
                if error_code(error) not in _GONE:
                    raise


class S3Tokenized:
    """Parts under `data/`, receipts under `receipts/`.

    Parts are staged in quarantine: until the whole file is read, a kept cell may hold a number that
    nobody has shown to be a PAN yet.
    """

    def __init__(self, client: S3Client, bucket: str, quarantine_bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._staging_bucket = quarantine_bucket

    def stage(self, job_id: str, attempt_id: str, part: int) -> AbstractContextManager[BinaryIO]:
        """A new staged part; it exists once the context ends without an exception."""
        return written(self._client, self._staging_bucket, _staged_key(job_id, attempt_id, part))

    def staged_uri(self, job_id: str, attempt_id: str, part: int) -> str:
        """Where that staged part is."""
        return f"s3://{self._staging_bucket}/{_staged_key(job_id, attempt_id, part)}"

    def part_uri(self, layout_name: str, date: str, job_id: str, part: int) -> str:
        """Where consumers find the part: partitioned as Hive and Athena expect it."""
        folder = f"data/layout={layout_name}/date={date}/{job_id}"
        return f"s3://{self._bucket}/{folder}/part-{part:05d}.parquet"

    def publish(self, staged_uri: str, uri: str) -> None:
        """Copies a staged part to its place; a part that is there and staged no more is done."""
        with translated("s3:CopyObject"):
            try:
                self._client.copy_object(
                    Bucket=self._bucket,
                    Key=_key(uri),
                    CopySource={"Bucket": self._staging_bucket, "Key": _key(staged_uri)},
                )
            except ClientError as error:
                if error_code(error) not in _GONE or not self._exists(_key(uri)):
                    raise

    def discard_staged(self, staged_uris: Sequence[str]) -> None:
        """Removes staged parts that nobody needs any more."""
        for uri in staged_uris:
            with translated("s3:DeleteObject"):
                self._client.delete_object(Bucket=self._staging_bucket, Key=_key(uri))

    @contextmanager
    def open_staged(self, staged_uri: str) -> Iterator[BinaryIO]:
        """The bytes of a staged part, in whichever order they are wanted."""
        with translated("s3:GetObject"):
            response = self._client.get_object(Bucket=self._staging_bucket, Key=_key(staged_uri))
            content = response["Body"].read()
        yield io.BytesIO(content)

    def put_receipt(self, receipt: Mapping[str, Any]) -> None:
        """Writes a receipt: never over a committed one, over a failed one only as it was read."""
        key = _receipt_key(receipt["job_id"])
        for _ in range(RECEIPT_TRIES):
            existing, etag = self._read_receipt(key)
            if existing is not None and existing["status"] == "committed":
                return
            condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
            if self._put_if(key, receipt, condition):
                return
        raise TransientError("receipt_contended", "the receipt changes faster than it is written")

    def _put_if(self, key: str, receipt: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
        with translated("s3:PutObject"):
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    # On one line, as query engines read JSON.
                    Body=orjson.dumps(receipt, option=orjson.OPT_APPEND_NEWLINE),
                    ContentType="application/json",
                    **condition,
                )
            except ClientError as error:
                if error_code(error) in _PRECONDITION_FAILED | _RACING | _GONE:
                    return False
                raise
        return True

    def get_receipt(self, job_id: str) -> Mapping[str, Any] | None:
        """The job's receipt, None where there is none yet."""
        return self._read_receipt(_receipt_key(job_id))[0]

    def _read_receipt(self, key: str) -> tuple[Mapping[str, Any] | None, str]:
        with translated("s3:GetObject"):
            try:
                response = self._client.get_object(Bucket=self._bucket, Key=key)
                return orjson.loads(response["Body"].read()), response["ETag"]
            except ClientError as error:
                if error_code(error) in _GONE:
                    return None, ""
                raise

    def _exists(self, key: str) -> bool:
        try:
            self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error_code(error) in _GONE:
                return False
            raise
        return True


def _key(uri: str) -> str:
    return uri.removeprefix("s3://").partition("/")[2]


def _rejects_key(job_id: str, attempt_id: str) -> str:
    return f"rejects/{job_id}/{attempt_id}.jsonl.gz"


def _digests_key(job_id: str, attempt_id: str, kind: str) -> str:
    return f"staging/{job_id}/{attempt_id}/pans.{kind}"


def _staged_key(job_id: str, attempt_id: str, part: int) -> str:
    return f"staging/{job_id}/{attempt_id}/part-{part:05d}.parquet"


def _receipt_key(job_id: str) -> str:
    return f"receipts/{job_id}.json"


@contextmanager
def _gone_is_missing(operation: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _reading_error(operation, error) from None
    except OSError as error:  # how smart_open reports what S3 said
        cause = getattr(error, "backend_error", None)
        if isinstance(cause, ClientError):
            raise _reading_error(operation, cause) from None
        raise TransientError("aws_unreachable", f"{operation}: {type(error).__name__}") from None
    except BotoCoreError as error:
        raise TransientError("aws_unreachable", f"{operation}: {type(error).__name__}") from None


def _reading_error(operation: str, error: ClientError) -> Exception:
    if error_code(error) in _GONE:
        return PermanentError("source_missing", "the uploaded version is not there any more")
    return transient(operation, error_code(error))


class _TranslatingReader(io.RawIOBase):
    """A stream from S3 whose errors are the pipeline's own."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        with _gone_is_missing("s3:GetObject"):
            return self._stream.seek(offset, whence)

    def read(self, size: int = -1, /) -> bytes:
        with _gone_is_missing("s3:GetObject"):
            return self._stream.read(size)
