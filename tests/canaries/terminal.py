"""The command line in this process, before the deployment of a stage: what it prints and sends."""

from __future__ import annotations

import json
import logging
import shlex
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.fs
import typer.main
from botocore.awsrequest import AWSResponse
from botocore.exceptions import EndpointConnectionError

from pipeline.aws import api_client, sqs_queue
from pipeline.cli import main, query, session
from pipeline.cli.session import Deployment
from pipeline.core.messages import DEAD_LETTER_KIND
from pipeline.model import Upload
from pipeline.testing import api_event, s3_event
from tests.api import SOMEONE, Api
from tests.canaries.commands import AT_AWS, LOCAL, SHOWING, write_files
from tests.canaries.stage import (
    AMEX,
    CANARIES,
    HEADER,
    SCANNER,
    VALID,
    Meddle,
    Stage,
    Streams,
    stage,
)
from tests.faults.cloud import QUARANTINE, TOKENIZED, Apply, json_response

COMMANDS = typer.main.get_command(main.app)  # once: it takes longer than most commands
SENT_AS_IT_IS = ("s3.PutObject", "dynamodb.PutItem")  # uploads, layouts, grants: that is their use


class BoomError(Exception):
    """What nobody foresaw, with the data in its hands in its text."""


def boom(*_: Any, **__: Any) -> Any:
    card = VALID  # a local variable, for tracebacks that print them
    logging.getLogger("boto3").error("lost %s", card)
    logging.getLogger().debug("sent %s", AMEX)
    raise BoomError(f"cannot go on with {card}", AMEX) from KeyError(VALID)


def _refused(code: str, status: int) -> Meddle:
    def meddle(operation: str, request: Any, apply: Apply) -> AWSResponse:
        text = f"{code} for {' and '.join(CANARIES)}"
        xml = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>".encode()
        document = xml if operation.startswith("s3.") else {"__type": code, "message": text}
        return json_response(request, document, status)

    return meddle


def _nonsense(operation: str, request: Any, apply: Apply) -> AWSResponse:
    return json_response(request, f"<html>{VALID} {AMEX}".encode(), 200)


def _unreachable(operation: str, request: Any, apply: Apply) -> AWSResponse:
    raise EndpointConnectionError(endpoint_url=f"https://{VALID}.example")


WEATHERS: Mapping[str, Meddle | None] = {
    "fine": None,
    "permission denied": _refused("AccessDeniedException", 400),
    "AWS out of order": _refused("InternalServerError", 500),
    "AWS talks nonsense": _nonsense,
    "no network": _unreachable,
    "a crash": boom,
}


@dataclass
class Call:
    """One run of a command."""

    arguments: tuple[str, ...]
    exit_code: int
    output: bytes = field(repr=False)
    messages: bytes = field(repr=False)


class Terminal:
    """`pantok` at a stage whose worker has seen committed, rejected and refused files."""

    def __init__(self, scene: Stage, folder: Path) -> None:
        self.scene, self.folder = scene, folder
        self.weather: Meddle | None = None
        self.requests: list[bytes] = []
        self.calls: list[Call] = []
        self.known: dict[str, str] = {}
        self.api = Api()
        self._deploy()
        scene.patch(main, "app", COMMANDS)
        scene.patch(session, "_local_deployment", lambda: self.target)
        scene.patch(api_client, "URLLib3Session", lambda **_: self)
        scene.patch(query, "parquet_filesystem", lambda _: self._tokenized_bucket())
        scene.patch(sqs_queue, "POLL_SECONDS", 0)
        scene.patch(logging.root, "handlers", [])
        scene.patch(logging.root, "level", logging.DEBUG)
        scene.patch(sys, "excepthook", sys.excepthook)

    def _deploy(self) -> None:
        for table, key in (("grants", "name"), ("limits", "counter")):
            self.scene.aws.client("dynamodb").create_table(
                TableName=table,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            )
        settings = self.scene.aws.settings
        self.target = Deployment(
            "local",
            self,  # type: ignore[arg-type]
            {
                "JobsTable": "jobs",
                "VaultTable": "vault",
                "DataKeysTable": "data-keys",
                "FingerprintsTable": "fingerprints",
                "GrantsTable": "grants",
                "LimitsTable": "limits",
                "QuarantineBucket": QUARANTINE,
                "TokenizedBucket": TOKENIZED,
                "WorkQueueUrl": settings.work_queue_url,
                "DeadLetterQueueUrl": settings.dead_letter_queue_url,
                "VaultKeyArn": settings.vault_key_arn,
                "FingerprintKeyArn": settings.vault_key_arn,
                "BulkKeyArn": settings.vault_key_arn,
                "DetokenizeRoleArn": "arn:aws:iam::000000000000:role/detokenize",
                "LayoutsUri": settings.layouts_uri,
                "AuditLogGroup": "audit",
                "ApiUrl": "https://api.example",
            },
        )

    def _tokenized_bucket(self) -> pyarrow.fs.FileSystem:
        for key, body in self.scene.aws.objects(TOKENIZED, "data/").items():
            file = self.folder / "bucket" / TOKENIZED / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)
        return pyarrow.fs.SubTreeFileSystem(
            str(self.folder / "bucket"), pyarrow.fs.LocalFileSystem()
        )

    # What commands take for a boto3 session, and for the API's network

    region_name = "us-east-1"

    def get_credentials(self) -> Any:
        return self.scene.aws.session.get_credentials()

    def client(self, service: str) -> Any:
        made = self.scene.aws.session.client(service, region_name=self.region_name)  # type: ignore[call-overload]
        made.meta.events.register_first("before-send", self._before_send)
        return made

    def _before_send(self, event_name: str, request: Any, **_: object) -> AWSResponse | None:
        operation = event_name.split(".", 1)[1]
        body = b"" if operation in SENT_AS_IT_IS else request.body or b""
        said = body if isinstance(body, bytes) else str(body).encode()
        self.requests.append(f"{operation} {request.url}\n".encode() + said)
        if self.weather is None:
            return None

        def apply(_: Any) -> AWSResponse:
            raise AssertionError("it is never done")

        return self.weather(operation, request, apply)

    def send(self, request: Any) -> AWSResponse:
        """What the API answers."""
        body = request.body.decode() if request.body else None
        self.requests.append(f"{request.method} {request.url}\n{body}".encode())
        if self.weather is not None:
            return self.weather("api", request, lambda request: request)
        path = request.url.removeprefix("https://api.example")
        answer = self.api.send(api_event(request.method, path, body, user_arn=SOMEONE)).raw
        return json_response(request, answer["body"].encode(), answer["statusCode"])

    # Commands

    def pantok(self, *arguments: str) -> Call:
        """Runs a command as its script does; what the interpreter would print is printed."""
        streams = Streams()
        self.scene.patch(sys, "argv", ["pantok", *arguments])
        with streams.redirected():
            code = _exit_code()
        call = Call(arguments, code, streams.read(1), streams.read(2))
        streams.close()
        self.calls.append(call)
        return call

    def run(self, command: str) -> Call:
        """Runs a command with what the terminal knows put into it."""
        return self.pantok(*shlex.split(command.format(**self.known)))

    def leaks(self) -> dict[str, int]:
        """The surfaces on which a canary stands, and how many stand there."""
        found = {name: len(SCANNER.leaks_in(content)) for name, content in self.surfaces().items()}
        return {name: count for name, count in found.items() if count}

    def surfaces(self) -> dict[str, bytes]:
        return {
            "commands' output": b"\n".join(call.output for call in self.calls),
            "commands' messages": b"\n".join(call.messages for call in self.calls),
            "commands' requests": b"\n".join(self.requests),
        }


def _exit_code() -> int:
    try:
        main.main()
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        return 1
    return 0


@contextmanager
def terminal(folder: Path) -> Iterator[Terminal]:
    """A terminal at which there is something to see: receipts, rejects, dead letters, tokens."""
    with stage() as scene:
        rows = [f"{canary},1.00,,lost {canary}" for canary in CANARIES]
        bad = [f"{VALID}", f"{VALID},{AMEX},,", f"{VALID},1.00,{VALID},"]
        upload = scene.aws.upload("incoming/x/a.csv", "\n".join([HEADER, *rows, *bad]).encode())
        scene.deliver(s3_event(upload))
        scene.deliver(scene.upload(*rows, folder="nobody-knows"))
        scene.deliver(VALID, json.dumps({"card": VALID}))
        scene.deliver(scene.upload_bytes(b"x", name=f"{VALID}.csv"))
        moved = s3_event(Upload(QUARANTINE, f"incoming/{AMEX}/{VALID}.csv", "v1"))
        strange = {"kind": DEAD_LETTER_KIND, **dict.fromkeys(("reason", "detail", "layout"), VALID)}
        for body in (VALID, moved, json.dumps(strange)):  # as SQS moves them, as a stranger sends
            scene.aws.client("sqs").send_message(
                QueueUrl=scene.aws.settings.dead_letter_queue_url, MessageBody=body
            )
        at = Terminal(scene, folder)
        at.known = {
            "job": upload.job_id,
            "uri": upload.uri,
            "token": at.api.tokens_of(VALID)[0],
            "folder": str(folder),
            "valid": VALID,
            "amex": AMEX,
        }
        yield at


def play(weather: str, folder: Path) -> Iterator[Terminal]:
    """A terminal at which every command was run in that weather."""
    with terminal(folder) as at:
        write_files(folder, at.known["token"])
        at.weather = WEATHERS[weather]
        for command in (*AT_AWS, *LOCAL) if weather == "fine" else (*AT_AWS, *SHOWING):
            at.run(command)
        yield at
