"""Small documents under a bucket prefix or in a folder, read again only when they have changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import smart_open
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.faults import error_code, transient
from pipeline.core.layout_documents import MAX_LAYOUT_BYTES
from pipeline.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_KEPT_DOCUMENTS = 64

_ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})
_UNCHANGED = frozenset({"304", "NotModified"})


@dataclass(frozen=True, slots=True)
class _Kept:
    etag: str
    content: bytes = field(repr=False)


class UriDocuments:
    """Documents of at most `MAX_LAYOUT_BYTES` by name.

    Each read asks S3 whether the document has changed (RFC 9110, 13.1.2), so that a change holds at
    once; what has not changed is not sent again.
    """

    def __init__(self, uri: str, client: S3Client) -> None:
        self._uri = uri.rstrip("/")
        self._client = client
        self._kept: dict[str, _Kept] = {}

    def read(self, name: str) -> bytes | None:
        """What the document holds, one byte too many if it is too long; None if there is none.

        Raises `TransientError` when that cannot be found out.
        """
        if not self._uri.startswith("s3://"):
            return self._read_file(name)
        try:
            return self._read_object(name)
        except ClientError as error:
            code = error_code(error)
            if code in _ABSENT:
                self._kept.pop(name, None)
                return None
            if code in _UNCHANGED and name in self._kept:
                return self._kept[name].content
            raise transient("s3:GetObject", code) from None
        except BotoCoreError as error:
            raise TransientError(
                "aws_unreachable", f"s3:GetObject: {type(error).__name__}"
            ) from None

    def _read_object(self, name: str) -> bytes:
        bucket, _, prefix = self._uri.removeprefix("s3://").partition("/")
        kept = self._kept.get(name)
        condition: dict[str, Any] = {"IfNoneMatch": kept.etag} if kept else {}
        key = f"{prefix}/{name}" if prefix else name
        answer = self._client.get_object(Bucket=bucket, Key=key, **condition)
        with answer["Body"] as body:
            content: bytes = body.read(MAX_LAYOUT_BYTES + 1)
        self._keep(name, _Kept(answer["ETag"], content))
        return content

    def _keep(self, name: str, kept: _Kept) -> None:
        self._kept.pop(name, None)
        self._kept[name] = kept
        if len(self._kept) > MAX_KEPT_DOCUMENTS:
            del self._kept[next(iter(self._kept))]

    def _read_file(self, name: str) -> bytes | None:
        try:
            with smart_open.open(f"{self._uri}/{name}", "rb", compression="disable") as document:
                content: bytes = document.read(MAX_LAYOUT_BYTES + 1)
                return content
        except FileNotFoundError:
            return None
        except OSError as error:
            raise transient("open", type(error).__name__) from None
