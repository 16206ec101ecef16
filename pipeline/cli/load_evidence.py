"""Gathers what a deployment shows of a load test's files: receipts, parts, rows, dead letters."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.aws.faults import translated
from pipeline.cli.query import parquet_filesystem
from pipeline.cli.session import Deployment
from pipeline.core.jobs import layout_name_of
from pipeline.loadtest.plan import PAN_COLUMN, ROW_COLUMN
from pipeline.loadtest.reconcile import Finding, RowCheck
from pipeline.loadtest.tracking import Course

BATCH_ROWS = 65_536
LETTERS_TRIES = 5
PAUSE_SECONDS = 1.0
TOKEN_COLUMN = f"{PAN_COLUMN}_token"

Receipts = Mapping[str, Mapping[str, Any] | None]


def receipts_of(target: Deployment, job_ids: Sequence[str], concurrency: int) -> Receipts:
    """The receipt of each job, None where there is none."""
    tokenized = target.tokenized
    with ThreadPoolExecutor(concurrency) as pool:
        return dict(zip(job_ids, pool.map(tokenized.get_receipt, job_ids), strict=True))


def attempts_of(target: Deployment, job_ids: Sequence[str]) -> Mapping[str, int]:
    """How often each job was attempted."""
    items = target.ledger.get_all(job_ids)
    return {item["job_id"]: int(item.get("attempts") or 0) for item in items}


def letters_of(
    target: Deployment, job_ids: Sequence[str], expected: int
) -> Mapping[str, list[Mapping[str, Any]]]:
    """The dead letters of these jobs; waits a little when there are fewer than expected."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    ours = set(job_ids)
    for _ in range(LETTERS_TRIES):
        found = defaultdict(list)
        with target.dead_letters.letters() as held:
            for each in held:
                if each.letter["job_id"] in ours:
                    found[each.letter["job_id"]].append(each.letter)
        if sum(map(len, found.values())) >= expected:
            break
        time.sleep(PAUSE_SECONDS)
    return found


def parts_of(
    target: Deployment, courses: Sequence[Course], receipts: Receipts, concurrency: int
) -> Mapping[str, Sequence[str]]:
    """The URIs of what is published of each job, be it in its receipt or not."""
    bucket, client = target.outputs["TokenizedBucket"], target.client("s3")
    pages = client.get_paginator("list_objects_v2")

    def published(course: Course) -> list[str]:
        keys: list[str] = []
        for prefix in _folders_of(course, receipts[course.upload.job_id]):
            with translated("s3:ListObjectsV2"):
                for page in pages.paginate(Bucket=bucket, Prefix=prefix):
                    keys += [item["Key"] for item in page.get("Contents", [])]
        return [f"s3://{bucket}/{key}" for key in keys]

    with ThreadPoolExecutor(concurrency) as pool:
        job_ids = [each.upload.job_id for each in courses]
        return dict(zip(job_ids, pool.map(published, courses), strict=True))


def _folders_of(course: Course, receipt: Mapping[str, Any] | None) -> set[str]:
    """Where parts of the job may be: where its receipt says, and on the day of its upload."""
    outputs = receipt["outputs"] if receipt else ()
    told = {each["uri"].removeprefix("s3://").partition("/")[2] for each in outputs}
    day = datetime.fromtimestamp(course.uploaded_at, UTC).date()
    layout = layout_name_of(course.file.key)
    usual = f"data/layout={layout}/date={day.isoformat()}/{course.upload.job_id}/"
    return {usual} | {f"{key.rpartition('/')[0]}/" for key in told}


def check_rows(target: Deployment, check: RowCheck, receipt: Mapping[str, Any]) -> list[Finding]:
    """Reads the parts of a receipt, a batch of rows at a time, and holds them against the plan."""
    filesystem = parquet_filesystem(target)
    try:
        for output in receipt["outputs"]:
            for row_ids, tokens in _rows(filesystem, output["uri"].removeprefix("s3://")):
                check.take(row_ids, tokens)
    except (OSError, pa.ArrowException, KeyError) as error:
        return [Finding(check.file.name, f"a part cannot be read ({type(error).__name__})")]
    return check.findings(receipt)


def _rows(filesystem: Any, path: str) -> Iterator[tuple[list[str | None], list[str | None]]]:
    with filesystem.open_input_file(path) as stream:
        columns = [ROW_COLUMN, TOKEN_COLUMN]
        for batch in pq.ParquetFile(stream).iter_batches(BATCH_ROWS, columns=columns):
            yield batch.column(ROW_COLUMN).to_pylist(), batch.column(TOKEN_COLUMN).to_pylist()
