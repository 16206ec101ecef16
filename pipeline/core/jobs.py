"""Object keys of uploads: what they ask for."""

from __future__ import annotations

import re

from pipeline.core.leaks import holds_pan
from pipeline.errors import PermanentError
from pipeline.readers.auto import AUTO

INTAKE_PREFIX = "incoming/"
REPAIRS_FOLDER = "repairs-of"

_JOB_ID = re.compile(r"job_[a-z2-7]{26}")


def layout_name_of(key: str) -> str:
    """`incoming/<layout>/<anything>` names its layout; a file directly under `incoming/` is `auto`.

    Raises `PermanentError` `pan_in_object_key`: such a key must not go on into receipts and logs.
    """
    if holds_pan(key):
        raise PermanentError("pan_in_object_key", "the object's key holds a card number: rename it")
    folder, separator, _ = key.removeprefix(INTAKE_PREFIX).partition("/")
    return folder if separator else AUTO


def repaired_job_of(key: str) -> str | None:
    """The job whose rejected rows the upload repairs; None for a file of its own.

    Such an upload is `incoming/<layout>/repairs-of/<job>/<anything>`. Raises `PermanentError`
    `not_repairable` when that is not the name of a job.
    """
    _, _, path = key.removeprefix(INTAKE_PREFIX).partition("/")
    folder, _, name = path.partition("/")
    if folder != REPAIRS_FOLDER:
        return None
    job_id, _, _ = name.partition("/")
    if not _JOB_ID.fullmatch(job_id):
        raise PermanentError("not_repairable", f"{REPAIRS_FOLDER}/ is not followed by a job's id")
    return job_id


def repair_key(layout_name: str, job_id: str, file_name: str) -> str:
    """Where repaired rows of a job are uploaded."""
    return f"{INTAKE_PREFIX}{layout_name}/{REPAIRS_FOLDER}/{job_id}/{file_name}"


def repair_claim(job_id: str) -> str:
    """The name under which the ledger keeps which repair of a job's rejected rows goes through."""
    return f"repair-of/{job_id}"


def is_intake(key: str) -> bool:
    """Whether the key is that of an uploaded file; a folder's placeholder is not."""
    return key.startswith(INTAKE_PREFIX) and not key.endswith("/")
