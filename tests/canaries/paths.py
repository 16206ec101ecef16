"""Every way in which the worker fails, with canaries in all that it has in its hands then."""

from __future__ import annotations

import base64
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from botocore.awsrequest import AWSResponse

from pipeline import tokenize
from pipeline.core.jobs import repair_key
from pipeline.model import Upload
from pipeline.readers import registry
from pipeline.readers.delimited import read_delimited
from pipeline.testing import s3_event
from tests.canaries.stage import (
    AMEX,
    CANARIES,
    HEADER,
    LAYOUT,
    LONG,
    MISTYPED,
    VALID,
    Context,
    Meddle,
    Stage,
)
from tests.faults.cloud import QUARANTINE, Apply, json_response
from tests.leaks import text_forms

ROWS = [f"{canary},1.00,,lost {canary}" for canary in CANARIES]
SPACED = " ".join(VALID[at : at + 4] for at in range(0, 16, 4))
FULL_WIDTH = VALID.translate({48 + digit: 0xFF10 + digit for digit in range(10)})


@dataclass(frozen=True)
class FailurePath:
    """What is done to a stage, and which reasons must have been given by then."""

    play: Callable[[Stage], None]
    reasons: frozenset[str] = frozenset()


PATHS: dict[str, FailurePath] = {}


def path(name: str, *reasons: str) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    def add(play: Callable[[Stage], None]) -> Callable[[Stage], None]:
        PATHS[name] = FailurePath(play, frozenset(reasons))
        return play

    return add


# Rows


@path("malformed rows", "wrong_field_count", "invalid_encoding", "unbalanced_quote", "pan_masked")
def malformed_rows(stage: Stage) -> None:
    body = "\n".join(
        [
            HEADER,
            *ROWS,
            f"{VALID},1.00,{AMEX},{LONG},{MISTYPED}",
            f'"{VALID},1.00,,{AMEX}',
            f"{VALID}",
            f"x{VALID},1.00,,",
            f"{VALID}{AMEX},1.00,,",
        ]
    ).encode()
    stage.deliver(stage.upload_bytes(body + f"\n{VALID},1.00,\xff,{AMEX}\n".encode("latin-1")))


@path("cast errors", "invalid_decimal")
def cast_errors(stage: Stage) -> None:
    stage.deliver(stage.upload(*ROWS, *(f"{VALID},{canary}.x,,{canary}" for canary in CANARIES)))


@path("guard hits", "guard_hit")
def guard_hits(stage: Stage) -> None:
    forms = [*CANARIES, SPACED, SPACED.replace(" ", "-"), FULL_WIDTH, f"id{VALID}x", f"{VALID}.0"]
    stage.deliver(stage.upload(*ROWS, *(f"{VALID},1.00,{form}," for form in forms)))
    stage.deliver(stage.upload(*ROWS, *(f"{VALID},{canary[:10]}.00,," for canary in CANARIES)))


@path("full tracks in kept cells", "track_data")
def full_tracks(stage: Stage) -> None:
    tracks = [f";{VALID}=25121010000000000?", f"%B{VALID}^DOE/JOHN^25121010000000000?"]
    stage.deliver(stage.upload(*ROWS, *(f"{VALID},1.00,{track}," for track in tracks)))


@path("guard hits, redacted or tokenized")
def guard_hits_in_place(stage: Stage) -> None:
    rows = [*ROWS, *(f"{VALID},1.00,see {canary},{canary}" for canary in CANARIES)]
    for folder in ("redacting", "tokenizing"):
        stage.deliver(stage.upload(*rows, folder=folder))


@path("a customer id that is a card", "guard_hit")
def customer_id(stage: Stage) -> None:
    rows = [*ROWS, *(f"{VALID},1.00,{canary}," for canary in CANARIES)]
    stage.deliver(stage.upload(*rows, folder="with-customers"))


@path("rejected rows, repaired wrongly", "malformed_repair", "unknown_row", "wrong_field_count")
def repairs(stage: Stage) -> None:
    upload = stage.aws.upload("incoming/x/a.csv", f"{HEADER}\n{VALID},1\n{AMEX},2\n".encode())
    stage.deliver(s3_event(upload))
    bad = [
        f'{{"row": {VALID}, "record": "{VALID}"',
        json.dumps({"row": int(VALID), "record": VALID}),
        json.dumps({"row": 7, "record": f"{VALID},1.00,,{AMEX}"}),
        json.dumps({"row": 1, "record": f"{VALID}\n{AMEX}"}),
        json.dumps({"columns": [VALID]}),
        json.dumps({"row": 1, "record": f"{VALID},{AMEX},{AMEX},{AMEX}"}),
    ]
    for at, line in enumerate(bad):
        repair = stage.aws.upload(repair_key("x", upload.job_id, f"{at}.jsonl"), line.encode())
        stage.deliver(s3_event(repair))


# Files


@path("layout errors", "invalid_layout", "unknown_layout")
def layout_errors(stage: Stage) -> None:
    documents = [
        f'name = "{VALID}"',
        f"name = {VALID}",
        f'name = "broken" {VALID}',
        f'name = "broken"\n[columns."{VALID}"]\nrole = "{AMEX}"\n"{LONG}" = 1',
        f'name = "broken"\n[format]\ndelimiter = "{VALID}"\nencoding = "{AMEX}"',
    ]
    for document in documents:
        stage.put_layout("broken", document)
        stage.deliver(stage.upload(*ROWS, folder="broken"))
    stage.deliver(stage.upload(*ROWS, folder="nobody-knows"))


@path("files that are refused", "header_looks_like_data", "missing_column", "no_pan_column")
def refused_files(stage: Stage) -> None:
    stage.deliver(stage.upload(*ROWS, header=f"{VALID},{AMEX},{LONG},x"))
    stage.deliver(stage.upload(*ROWS, header="card,a,b,c"))
    stage.deliver(stage.upload(f"{VALID} a", header="text", folder="auto"))
    stage.deliver(stage.upload_bytes(b"\xff\xfe" + VALID.encode("utf-16-le")))
    stage.deliver(stage.upload_bytes(f"{VALID}\0{AMEX}".encode(), folder="auto"))


@path("control totals", "trailer_mismatch")
def control_totals(stage: Stage) -> None:
    records = '[records.types.d]\n[records.types.t]\nmatch = "T"\nrole = "trailer"\n'
    records += "[records.types.t.totals]\nsum_field = 2\n"
    document = LAYOUT.format(name="totals", options="") + records + 'sum_column = "amount"\n'
    stage.put_layout("totals", document)
    rows = [f"{VALID},{canary},," for canary in CANARIES]
    stage.deliver(stage.upload(*rows, f"T,{VALID},{AMEX}", folder="totals"))


@path("the same content twice", "duplicate_content")
def duplicates(stage: Stage) -> None:
    for _ in range(2):
        stage.deliver(stage.upload(*ROWS, folder="once-only"))


@path("names that are cards", "pan_in_object_key")
def names(stage: Stage) -> None:
    encoded = base64.b64encode(VALID.encode()).decode()
    for name in (VALID, SPACED, f"day-{AMEX}.csv", encoded):
        stage.deliver(stage.upload_bytes(b"card\n1\n", name=name))
        stage.deliver(stage.upload_bytes(b"card\n1\n", folder=name, name="a.csv"))


# Messages


@path("messages that are nobody's", "malformed_message", "foreign_bucket", "unknown_sender")
def messages(stage: Stage) -> None:
    elsewhere = json.loads(s3_event(Upload(VALID, f"incoming/x/{VALID}", "v1")))
    stranger = json.loads(s3_event(Upload(QUARANTINE, f"incoming/x/{AMEX}", "v1")))
    stranger["Records"][0]["eventSource"] = VALID
    stage.deliver(
        VALID,
        f'{{"card": {VALID}',
        json.dumps({"card": VALID}),
        json.dumps({"kind": "pantok.chunk", "card": VALID}),
        f"card {MISTYPED}",
        *text_forms(VALID).values(),
        *(json.dumps({"card": form}) for form in text_forms(VALID).values()),
        json.dumps(elsewhere),
        json.dumps(stranger),
    )


@path("versions that are not there", "source_missing")
def missing(stage: Stage) -> None:
    stage.deliver(s3_event(Upload(QUARANTINE, "incoming/x/a.csv", "v1")))


@path("events that are not SQS's")
def events(stage: Stage) -> None:
    for event in ({"card": VALID}, {"Records": [{"body": VALID}]}, [VALID], VALID):
        stage.deliver(event=event)


@path("a whole batch that fails")
def whole_batch(stage: Stage) -> None:
    stage.meddle = _answered("dynamodb.UpdateItem", _error("InternalServerError", 500))
    bodies = [stage.upload(*ROWS) for _ in range(3)]
    stage.deliver(*bodies)
    stage.deliver(*bodies, receive_count=5)


# AWS


def _answered(operation: str, answer: Callable[[Any], AWSResponse]) -> Meddle:
    """That operation is answered so, and never done."""

    def meddle(asked: str, request: Any, apply: Apply) -> AWSResponse:
        return answer(request) if asked == operation else apply(request)

    return meddle


def _error(code: str, status: int = 400) -> Callable[[Any], AWSResponse]:
    """An error whose message repeats what a card number would stand in."""

    def answer(request: Any) -> AWSResponse:
        text = f"{code} for {' and '.join(CANARIES)}"
        xml = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>".encode()
        if "s3" in request.url.split("/")[2]:
            return json_response(request, xml, status)
        document = {"__type": f"com.amazonaws#{code}", "message": text}
        return json_response(request, document, status)

    return answer


AWS_ERRORS = {
    "KMS denies a data key": ("kms.GenerateDataKey", "AccessDeniedException"),
    "KMS denies the fingerprint key": ("kms.Decrypt", "AccessDeniedException"),
    "the vault is throttled": ("dynamodb.BatchExecuteStatement", "ThrottlingException"),
    "look-ups are throttled": (
        "dynamodb.BatchGetItem",
        "ProvisionedThroughputExceededException",
    ),
    "the decision is refused": ("dynamodb.TransactWriteItems", "TransactionCanceledException"),
    "parts cannot be written": ("s3.PutObject", "AccessDenied"),
    "parts cannot be published": ("s3.CopyObject", "SlowDown"),
    "the source cannot be read": ("s3.GetObject", "AccessDenied"),
    "dead letters cannot be sent": ("sqs.SendMessage", "AccessDenied"),
}


def _under_error(operation: str, code: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        body = stage.upload(*ROWS, f"{VALID},1.00,{VALID},")
        failing = stage.upload(*ROWS, folder="nobody-knows")
        stage.meddle = _answered(operation, _error(code))
        stage.deliver(body, failing)
        stage.deliver(body, failing, receive_count=5)
        stage.meddle = None

    return play


for _name, (_operation, _code) in AWS_ERRORS.items():
    path(_name)(_under_error(_operation, _code))


@path("statements that are refused one by one")
def statements(stage: Stage) -> None:
    def answer(request: Any) -> AWSResponse:
        count = len(json.loads(request.body)["Statements"])
        said = {"Code": "ValidationError", "Message": f"not {VALID}", "Item": {"t": {"S": AMEX}}}
        return json_response(request, {"Responses": [{"Error": said}] * count})

    body = stage.upload(*ROWS)
    stage.meddle = _answered("dynamodb.BatchExecuteStatement", answer)
    stage.deliver(body)
    stage.deliver(body, receive_count=5)


# Crashes


class BoomError(Exception):
    """What nobody expected, with the data in its hands in its text."""


def _crash(*_: Any, **__: Any) -> Any:
    card = VALID  # a local variable, for tracebacks that print them
    try:
        int(f"{card} {AMEX}")
    except ValueError as error:
        raise BoomError(f"cannot go on with {LONG}", card) from error


@path("a crash with a traceback")
def crash(stage: Stage) -> None:
    body = stage.upload(*ROWS)
    for name in ("check_rows", "gather", "scrubbed"):
        stage.patch(tokenize, name, _crash)
        stage.deliver(body)
    stage.deliver(body, receive_count=5)


@path("an Arrow error that quotes the data")
def arrow(stage: Stage) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise pa.ArrowInvalid(f"In CSV column #0: row #2: could not convert '{VALID}'")

    stage.patch(tokenize, "scrubbed", fail)
    stage.deliver(stage.upload(*ROWS))


@path("a reader that says everything", "guard_hit")
def talkative(stage: Stage) -> None:
    """As libraries for card formats do: the record in a debug line, a warning, an error line."""

    def read(*arguments: Any, **options: Any) -> Iterator[Any]:
        for batch in read_delimited(*arguments, **options):
            for cell in batch.columns.column(0).to_pylist():
                logging.getLogger("cardutil.vbs").debug("record %s", cell)
                logging.getLogger("cardutil.iso8583").error("bad DE2", extra={"x_de2": cell})
                with warnings.catch_warnings():
                    warnings.simplefilter("always")
                    warnings.warn(f"odd card {cell}", stacklevel=1)
            yield batch

    stage.patch(registry, "READERS", {"delimited": read})
    stage.levels = {None: logging.DEBUG, "cardutil": logging.DEBUG}
    stage.deliver(stage.upload(*ROWS, f"{VALID},1.00,{VALID},"))


@path("debug logging of everything", "wrong_field_count")
def debug(stage: Stage) -> None:
    libraries = ("boto3", "botocore", "smart_open", "aws_lambda_powertools", "urllib3", "pantok")
    stage.levels = dict.fromkeys((None, *libraries), logging.DEBUG)
    stage.deliver(stage.upload(*ROWS, f"{VALID},{AMEX}"))
    stage.deliver(stage.upload_bytes(b"x", name=f"{VALID}.csv"))


@path("no time left")
def out_of_time(stage: Stage) -> None:
    body = stage.upload(*ROWS)
    stage.deliver(body, context=Context(milliseconds=1))
    stage.deliver(body, receive_count=5, context=Context(milliseconds=1))
