"""Whole files of tokens: asked for by one, approved by another, sealed to whoever asked."""

from __future__ import annotations

import base64
import csv
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from pipeline.aws.api_client import ApiClient
from pipeline.aws.faults import pauses
from pipeline.aws.kms_approvals import approve as approve_job
from pipeline.cli.output import StackOption, examples, facts, progress_bar, say
from pipeline.cli.session import Deployment, deployment
from pipeline.core.bulk import BulkJob, HashTree, bulk_job, leaf_of, slices_of
from pipeline.core.envelope import TOKEN_PATTERN
from pipeline.core.result_seal import open_result
from pipeline.errors import PermanentError, TransientError

WORKERS = 4
POLL_SECONDS = 3.0
JOB_SUFFIX = ".job.json"
OWNER_ONLY = 0o600

app = typer.Typer(
    help="Bulk jobs: approve what others asked for, unseal what came of your own.",
    epilog=examples(
        "pantok detokenize --file tokens.txt --purpose chargeback"
        " --public-key me.pub.pem --output result.sealed",
        "pantok bulk approve result.sealed.job.json",
        "pantok bulk unseal result.sealed --private-key me.pem --output cards.csv",
    ),
    no_args_is_help=True,
)


@app.command(epilog=examples("pantok bulk approve result.sealed.job.json"))
def approve(
    job_file: Annotated[Path, typer.Argument(metavar="JOB.JSON", exists=True, dir_okay=False)],
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    stack: StackOption = None,
) -> None:
    """Shows what a job would open, and approves it for an hour: that job and nothing else."""
    job = _job(_read_document(job_file))
    facts("bulk job", {**job.encryption_context, "public_key": f"{job.public_key} (of whom?)"})
    if not is_sure:
        typer.confirm("Approve this job for an hour?", abort=True, err=True)
    target = deployment(stack)
    key_arn, role_arn = target.outputs["BulkKeyArn"], target.outputs["DetokenizeRoleArn"]
    grant_id = approve_job(target.client("kms"), key_arn, role_arn, job)
    say(f"approved: grant {grant_id}")


@app.command(
    epilog=examples("pantok bulk unseal result.sealed --private-key me.pem --output cards.csv")
)
def unseal(
    sealed_file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)],
    private_key: Annotated[
        Path, typer.Option("--private-key", exists=True, help="X25519, PEM, without a password.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV, for your eyes only.")],
) -> None:
    """Unseals a result into a CSV file: token, card number, error, in the order of the tokens."""
    key = _private_key(private_key)
    job = _job(_read_document(_job_file(sealed_file)))
    sealed = _sealed_slices(sealed_file)
    if len(sealed) < job.slices:
        say(f"not complete: {len(sealed)} of {job.slices} slices", style="yellow")
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
    with os.fdopen(descriptor, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("token", "pan", "error"))
        for number in sorted(sealed):
            content = open_result(sealed[number], key, job.job_id, number)
            for line in content.decode().splitlines():
                each = json.loads(line)
                rows.writerow((each["token"], each["pan"], each["error"]))
    say(f"unsealed into {output}")


@dataclass(frozen=True)
class BulkRun:
    """One file on its way through the API; it goes on where an earlier run stopped."""

    client: ApiClient
    tokens: Sequence[str]
    output: Path

    @cached_property
    def slices(self) -> list[Sequence[str]]:
        """The tokens, by hundreds."""
        return list(slices_of(self.tokens))

    @cached_property
    def tree(self) -> HashTree:
        """What the job names its file by, and proves its slices with."""
        return HashTree([leaf_of(each) for each in self.slices])

    def document(self, purpose: str, public_key: str) -> Mapping[str, Any]:
        """The job that was asked for earlier, or a new one.

        Raises `PermanentError` `other_job` if the earlier one is about other tokens.
        """
        job_file = _job_file(self.output)
        root = self.tree.root.hex()
        if job_file.exists():
            document = _read_document(job_file)
            if (document["job"]["tokens_root"], document["job"]["reason"]) != (root, purpose):
                raise PermanentError("other_job", f"{job_file} is about something else")
            return document
        asked = {
            "purpose": purpose,
            "rows": len(self.tokens),
            "tokens_root": root,
            "public_key": public_key,
        }
        document = self.client.call("POST", "/bulk-jobs", asked)
        job_file.write_text(json.dumps(document, indent=2) + "\n")
        return document

    def wait_for_approval(self, document: Mapping[str, Any], wait_seconds: float) -> None:
        """Opens the first slice that is left, again and again until that is approved.

        Raises `PermanentError` `not_approved` when the time is up.
        """
        deadline = time.monotonic() + wait_seconds
        refusal = self._refusal(document)
        if refusal is not None:
            job_file = _job_file(self.output)
            say(f"to be approved by somebody else: pantok bulk approve {job_file}")
        while refusal is not None:
            if time.monotonic() >= deadline:
                raise refusal
            time.sleep(POLL_SECONDS)
            refusal = self._refusal(document)

    def _refusal(self, document: Mapping[str, Any]) -> PermanentError | None:
        """Opens the first slice that is left, or gives the error that nobody approved that."""
        try:
            for number in self._left()[:1]:
                self._keep(number, self._opened(document, number))
        except PermanentError as error:
            if error.code != "not_approved":
                raise
            return error
        return None

    def finish(self, document: Mapping[str, Any]) -> None:
        """Opens what is left, keeps it sealed, and ends the job."""
        left = self._left()
        with progress_bar() as progress, ThreadPoolExecutor(WORKERS) as pool:
            task = progress.add_task("slices", total=len(left), note="")
            opened = pool.map(partial(self._opened, document), left)
            for number, sealed in zip(left, opened, strict=True):
                self._keep(number, sealed)
                progress.advance(task)
        self.client.call("POST", "/bulk-jobs/end", {"document": document})

    def _opened(self, document: Mapping[str, Any], number: int) -> str:
        asked = {
            "document": document,
            "number": number,
            "tokens": list(self.slices[number]),
            "proof": [each.hex() for each in self.tree.proof(number)],
        }
        for _ in pauses():
            try:
                return str(self.client.call("POST", "/bulk-jobs/slices", asked)["sealed"])
            except TransientError as error:
                if error.code == "limit_exceeded":
                    raise
        return str(self.client.call("POST", "/bulk-jobs/slices", asked)["sealed"])

    def _keep(self, number: int, sealed: str) -> None:
        with self.output.open("a") as file:
            file.write(json.dumps({"number": number, "sealed": sealed}) + "\n")

    def _left(self) -> list[int]:
        done = _sealed_slices(self.output) if self.output.exists() else {}
        return [number for number in range(len(self.slices)) if number not in done]


def detokenize_file(
    target: Deployment,
    file: Path,
    purpose: str,
    public_key: Path,
    output: Path,
    wait_seconds: float,
) -> BulkJob:
    """Opens a file of tokens, one in each line, into a sealed result.

    Raises `PermanentError` `not_approved` while nobody approved the job: the same call goes on once
    somebody has.
    """
    client = ApiClient(target.session, target.outputs["ApiUrl"])
    run = BulkRun(client, list(_tokens(file)), output)
    document = run.document(purpose, _public_key(public_key))
    run.wait_for_approval(document, wait_seconds)
    run.finish(document)
    return _job(document)


def _tokens(file: Path) -> Iterator[str]:
    """Raises `PermanentError`: what is no token may be a card number, and is not sent."""
    count = 0
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            token = line.strip()
            if token and not TOKEN_PATTERN.fullmatch(token):
                raise PermanentError("not_a_token", f"line {number}")
            if token:
                count += 1
                yield token
    if not count:
        raise PermanentError("no_tokens", "the file is empty")


def _job_file(output: Path) -> Path:
    return output.with_name(output.name + JOB_SUFFIX)


def _read_document(job_file: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(job_file.read_text())
        bulk_job(document["job"])
    except (OSError, ValueError, KeyError, TypeError):
        raise PermanentError("not_a_bulk_job", str(job_file)) from None
    return dict(document)


def _job(document: Mapping[str, Any]) -> BulkJob:
    return bulk_job(document["job"])


def _sealed_slices(file: Path) -> dict[int, bytes]:
    """By number; a line that was cut off while it was written does not count."""
    found = {}
    for line in file.read_text().splitlines():
        try:
            each = json.loads(line)
            found[int(each["number"])] = base64.b64decode(each["sealed"], validate=True)
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _public_key(file: Path) -> str:
    try:
        key = load_pem_public_key(file.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, X25519PublicKey):
        raise PermanentError("invalid_public_key", f"{file} is no X25519 public key in PEM")
    return base64.b64encode(key.public_bytes_raw()).decode()


def _private_key(file: Path) -> X25519PrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, X25519PrivateKey):
        raise PermanentError("invalid_private_key", f"{file} is no X25519 private key in PEM")
    return key
