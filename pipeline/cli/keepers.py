"""What the commands of keys and vault work with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from pipeline.aws.forgotten_trail import DynamoDBForgottenTrail
from pipeline.aws.key_care import DynamoDBKeyStore, KMSRenewal
from pipeline.aws.kms_keys import KMSKeys
from pipeline.aws.vault_care import DynamoDBFingerprintStore, DynamoDBVaultStore
from pipeline.cli.output import progress_bar
from pipeline.cli.session import Deployment
from pipeline.core.guard import find_pans

PROGRESS_FOLDER = Path(".pantok") / "progress"
_SCOPE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_AGE = re.compile(r"(\d{1,6})([hd])")

ProgressOption = Annotated[
    Path,
    typer.Option(
        "--progress",
        help="Folder where a run notes how far it is; the same command goes on from there.",
    ),
]


def utc_now() -> datetime:
    """Now, with the time zone UTC."""
    return datetime.now(UTC)


def age(text: str | timedelta) -> timedelta:
    """`36h` or `400d`; an option's default is an age already."""
    if isinstance(text, timedelta):
        return text
    match = _AGE.fullmatch(text)
    if match is None:
        raise typer.BadParameter("an age is a number and h or d: 36h, 400d")
    return timedelta(hours=int(match[1]) * (24 if match[2] == "d" else 1))


def scope_name(text: str) -> str:
    """The name of a scope, as a layout may have it."""
    if not _SCOPE.fullmatch(text):
        raise typer.BadParameter("a scope has lower-case letters, digits and -")
    return text


def without_pans(text: str) -> str:
    """Text that is kept in clear; what looks like a card number is not taken."""
    if find_pans(text):
        raise typer.BadParameter("this looks like a card number")
    return text


def key_store(target: Deployment) -> DynamoDBKeyStore:
    """The wrapped data keys."""
    return DynamoDBKeyStore(target.client("dynamodb"), target.outputs["DataKeysTable"])


def renewal(target: Deployment) -> KMSRenewal:
    """KMS, for keys that are renewed inside of it."""
    return KMSRenewal(target.client("kms"))


def key_service(target: Deployment) -> KMSKeys:
    """KMS, for those who may decrypt."""
    return KMSKeys(target.client("kms"), target.outputs["VaultKeyArn"])


def vault(target: Deployment) -> DynamoDBVaultStore:
    """The vault."""
    return DynamoDBVaultStore(target.client("dynamodb"), target.outputs["VaultTable"])


def fingerprints(target: Deployment) -> DynamoDBFingerprintStore:
    """The fingerprints."""
    return DynamoDBFingerprintStore(target.client("dynamodb"), target.outputs["FingerprintsTable"])


def trail(target: Deployment) -> DynamoDBForgottenTrail:
    """What was forgotten."""
    return DynamoDBForgottenTrail(target.client("dynamodb"), target.outputs["JobsTable"])


def principal(target: Deployment) -> str:
    """The ARN of whoever runs the command."""
    return str(target.client("sts").get_caller_identity()["Arn"])


def progress_folder(root: Path, target: Deployment, name: str) -> Path:
    """Where the progress of one kind of run on one stack is noted."""
    return root / target.name / name


@contextmanager
def shown(title: str) -> Iterator[Callable[[int], None]]:
    """Shows how many items are done, while they are."""
    with progress_bar() as bar:
        task = bar.add_task(title, total=None, note="")
        yield lambda count: bar.advance(task, count)
