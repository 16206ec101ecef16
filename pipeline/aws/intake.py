"""What is in the intake: the listing of its versions, without reading one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.aws.faults import translated
from pipeline.core.jobs import INTAKE_PREFIX, is_intake
from pipeline.model import Arrival, Upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Intake:
    """Uploads under `incoming/`; a version that another one replaced is a job of its own, too."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def arrivals(self) -> Iterator[Arrival]:
        """Every version of every upload, page by page; delete markers are none."""
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=INTAKE_PREFIX
        )
        with translated("s3:ListObjectVersions"):
            for page in pages:
                for version in page.get("Versions", []):
                    if is_intake(version["Key"]):
                        upload = Upload(self._bucket, version["Key"], version["VersionId"])
                        yield Arrival(upload, version["LastModified"])
