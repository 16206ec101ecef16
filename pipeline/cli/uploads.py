"""Uploads: into the intake, and what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from pipeline.aws.faults import error_code, transient, translated
from pipeline.cli.output import (
    JsonFlag,
    StackOption,
    examples,
    print_json,
    progress_bar,
    receipt_facts,
    say,
    table,
)
from pipeline.cli.session import Deployment, deployment
from pipeline.core.jobs import INTAKE_PREFIX, layout_name_of
from pipeline.errors import TransientError
from pipeline.model import Upload

POLL_SECONDS = 0.3
# One request up to S3's limit: an upload in parts would need kms:Decrypt on the quarantine key.
_TRANSFER = TransferConfig(multipart_threshold=5 * 1024**3)

EXAMPLES = examples(
    "pantok upload settlement.csv --layout card-present --wait",
    "pantok upload *.txt --layout acquirer-pipe",
    "pantok upload unknown.csv --wait      # no layout: the PAN columns are found by content",
)


def upload(
    files: Annotated[
        list[Path], typer.Argument(exists=True, dir_okay=False, help="Settlement files.")
    ],
    layout: Annotated[
        str | None, typer.Option(help="The layout to read them by. Default: find the PANs.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the receipts and print them.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait, with --wait.")] = 600.0,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Puts files into the intake of a deployment."""
    target = deployment(stack)
    uploads = put_files(target, files, layout)
    if not wait:
        _print_uploads(files, uploads, as_json=as_json)
        return
    receipts = wait_for_receipts(target, uploads, timeout)
    if as_json:
        print_json(receipts[0] if len(receipts) == 1 else receipts)
    else:
        for receipt in receipts:
            receipt_facts(receipt)
    if any(receipt["status"] != "committed" for receipt in receipts):
        say("Not everything went through: see `pantok dlq list`.")
        raise typer.Exit(1)


def _print_uploads(files: Sequence[Path], uploads: Sequence[Upload], *, as_json: bool) -> None:
    if as_json:
        print_json([{"job_id": each.job_id, "uri": each.uri} for each in uploads])
        return
    rows = [(file.name, each.job_id) for file, each in zip(files, uploads, strict=True)]
    table("uploaded", ("file", "job"), rows)
    say("`pantok jobs` shows how they get on, `pantok receipt JOB` what became of each.")


def put_files(target: Deployment, files: Iterable[Path], layout: str | None) -> list[Upload]:
    """Uploads files under `incoming/<layout>/`; shows progress on stderr."""
    with progress_bar(in_bytes=True) as progress:
        uploads = []
        for file in files:
            task = progress.add_task(file.name, total=file.stat().st_size, note="")
            uploads.append(put_file(target, file, layout, partial(progress.advance, task)))
    return uploads


def put_file(
    target: Deployment, file: Path, layout: str | None, sent: Callable[[int], None]
) -> Upload:
    """Uploads a file; raises `PermanentError` when its name holds a PAN."""
    folder = f"{INTAKE_PREFIX}{layout}/" if layout else INTAKE_PREFIX
    return put_object(target, file, folder + file.name, sent)


def put_object(target: Deployment, file: Path, key: str, sent: Callable[[int], None]) -> Upload:
    """Uploads a file under that key; raises `PermanentError` when it holds a PAN."""
    bucket = target.outputs["QuarantineBucket"]
    layout_name_of(key)
    client = target.client("s3")
    versions: list[str] = []

    def note_version(parsed: Mapping[str, Any], **_kwargs: object) -> None:
        versions.append(parsed.get("VersionId", "null"))

    # An uploader may not read the intake, so the answer to the upload is the only way to know.
    client.meta.events.register("after-call.s3.PutObject", note_version)
    client.meta.events.register("after-call.s3.CompleteMultipartUpload", note_version)
    with _translated_upload():
        client.upload_file(str(file), bucket, key, Callback=sent, Config=_TRANSFER)
    return Upload(bucket, key, versions[-1])


@contextmanager
def _translated_upload() -> Iterator[None]:
    """As `translated`; what AWS refused stands behind an error of boto3's own."""
    try:
        with translated("s3:PutObject"):
            yield
    except S3UploadFailedError as error:
        refusal = error.__context__
        code = error_code(refusal) if isinstance(refusal, ClientError) else "unknown"
        raise transient("s3:PutObject", code) from None


def wait_for_receipts(
    target: Deployment, uploads: Sequence[Upload], timeout_seconds: float
) -> list[Mapping[str, Any]]:
    """The receipts of the uploads' jobs, in order; shows progress on stderr.

    Raises `TransientError` `still_running` when the time is over.
    """
    deadline = time.monotonic() + timeout_seconds
    with progress_bar() as progress:
        tasks = {each.job_id: _task(progress, each) for each in uploads}
        receipts: dict[str, Mapping[str, Any]] = {}
        while len(receipts) < len(tasks):
            for job_id in tasks.keys() - receipts.keys():
                _look_at(target, job_id, receipts, progress.update, tasks)
            if time.monotonic() > deadline:
                raise TransientError("still_running", "look again with `pantok jobs`")
            time.sleep(POLL_SECONDS if len(receipts) < len(tasks) else 0)
    return [receipts[each.job_id] for each in uploads]


def _task(progress: Any, upload: Upload) -> Any:
    return progress.add_task(Path(upload.key).name, total=None, note="queued")


def _look_at(
    target: Deployment,
    job_id: str,
    receipts: dict[str, Mapping[str, Any]],
    show: Callable[..., None],
    tasks: Mapping[str, Any],
) -> None:
    job = target.ledger.get(job_id)
    if job is None:
        return
    show(task_id=tasks[job_id], completed=job.get("rows_read", 0), note=job["status"])
    if job["status"] in ("committed", "failed"):
        receipt = target.tokenized.get_receipt(job_id)
        if receipt is not None and receipt["status"] == job["status"]:
            receipts[job_id] = receipt
