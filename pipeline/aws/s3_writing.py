"""Objects that are written piece by piece and exist once they are complete, or never."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, cast

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.faults import translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

UPLOAD_PART_BYTES = 8 * 1024 * 1024  # held in memory while an object is written


@contextmanager
def written(client: S3Client, bucket: str, key: str) -> Iterator[BinaryIO]:
    """A new object; it exists once the context ends without an exception."""
    with translated("s3:PutObject"):  # the permission for every call that is made here
        writer = _ObjectWriter(client, bucket, key)
        try:
            yield cast("BinaryIO", writer)
            writer.complete()
        except BaseException:
            writer.abort()
            raise


class _ObjectWriter(io.RawIOBase):
    """One PutObject for what fits into a part, a multipart upload for what does not.

    Closing does nothing: a writer that is merely dropped must not leave half an object behind.
    """

    def __init__(self, client: S3Client, bucket: str, key: str) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._ahead = bytearray()
        self._upload_id = ""
        self._parts: list[CompletedPartTypeDef] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        size_bytes = len(self._ahead)
        self._ahead += memoryview(data)  # type: ignore[arg-type]
        size_bytes = len(self._ahead) - size_bytes
        while len(self._ahead) > UPLOAD_PART_BYTES:
            self._upload_part(bytes(self._ahead[:UPLOAD_PART_BYTES]))
            del self._ahead[:UPLOAD_PART_BYTES]
        return size_bytes

    def complete(self) -> None:
        """Makes the object appear."""
        if not self._upload_id:
            self._client.put_object(Bucket=self._bucket, Key=self._key, Body=bytes(self._ahead))
            return
        self._upload_part(bytes(self._ahead))
        self._client.complete_multipart_upload(
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self._upload_id,
            MultipartUpload={"Parts": self._parts},
        )

    def abort(self) -> None:
        """Gives up what was uploaded; where that fails too, the bucket's lifecycle does."""
        if self._upload_id:
            with suppress(BotoCoreError, ClientError):
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=self._key, UploadId=self._upload_id
                )

    def _upload_part(self, body: bytes) -> None:
        if not self._upload_id:
            created = self._client.create_multipart_upload(Bucket=self._bucket, Key=self._key)
            self._upload_id = created["UploadId"]
        number = len(self._parts) + 1
        uploaded = self._client.upload_part(
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self._upload_id,
            PartNumber=number,
            Body=body,
        )
        self._parts.append({"ETag": uploaded["ETag"], "PartNumber": number})
