"""The Lambda package alone: its entry points in an interpreter without any other library.

The package is built from the locked wheels as `make package` does it, for this machine's processor
and, where it is installed, Lambda's version of Python: otherwise for the version that runs this.
"""

from __future__ import annotations

import http.server
import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.artifact.build import fill, requirements_of
from infra.artifact.bytecode import interpreter_for
from infra.artifact.target import LAMBDA_PYTHON, MACHINES, Target
from pipeline.local import LocalStack
from pipeline.model import Upload
from pipeline.samples.cards import synthetic_pans
from pipeline.testing import api_event, s3_event, sqs_event

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in MACHINES.values(),
    reason="the package is for Linux on the processors of Lambda",
)

BOOTSTRAP = Path(__file__).resolve().parents[1] / "bootstrap.py"
SOMEONE = "arn:aws:iam::000000000000:user/someone"
GRANTS = f"""
[[grants]]
name = "everything"
principals = ["{SOMEONE}"]
actions = ["tokenize", "detokenize", "describe"]
scopes = ["default"]
purposes = ["chargeback"]
view = "full"
per_minute = 1000
per_day = 1000
"""
# What each of them needs of the package is another part of it: C extensions, shared libraries,
# code pages, decompression, built-in layouts.
SAMPLES = {
    "card_present.csv.gz": "card-present",
    "card_present.jsonl": "card-present-jsonl",
    "card_present.parquet": "card-present-parquet",
    "card_present.orc": "card-present-orc",
    "card_present.avro": "card-present-avro",
    "card_present.xlsx": "card-present-xlsx",
    "mastercard_ipm_ebcdic_blocked.bin": "mastercard-ipm-ebcdic-blocked",
    "mainframe_ebcdic.bin": "mainframe-ebcdic",
    "acme_unknown.csv": "acme",
}


@dataclass(frozen=True)
class BarePackage:
    """A package, an interpreter, and the environment that Lambda would set."""

    folder: Path
    interpreter: str
    stack: LocalStack
    settings: dict[str, dict[str, str]]

    def call(self, entry_point: str, *events: Any, **changed: str) -> dict[str, Any]:
        """What the function answers, and what it loaded; `changed` are other settings."""
        environment = {**ENVIRONMENT, **self.settings.get(entry_point, {}), **changed}
        command = [self.interpreter, "-I", "-S", "-B", BOOTSTRAP, self.folder, entry_point]
        ran = subprocess.run(
            command,
            env=environment | {"AWS_ENDPOINT_URL": self.stack.endpoint_url},
            input=json.dumps(events),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        outcome: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
        return outcome


ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EXECUTION_ENV": f"AWS_Lambda_python{LAMBDA_PYTHON}",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
    "AWS_LAMBDA_FUNCTION_NAME": "bare",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_REGION": "us-east-1",
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LANG": "en_US.UTF-8",
    "TZ": ":UTC",
    "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
}


@pytest.fixture(scope="module")
def package(local_stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> BarePackage:
    folder = tmp_path_factory.mktemp("bare") / "package"
    architecture = next(name for name in MACHINES if MACHINES[name] == platform.machine())
    interpreter = interpreter_for(LAMBDA_PYTHON)
    here = "{}.{}".format(*sys.version_info)
    target = Target(architecture, LAMBDA_PYTHON if interpreter else here)
    fill(folder, requirements_of(target, ["formats"]), target, interpreter or sys.executable)
    return BarePackage(folder, interpreter or sys.executable, local_stack, _settings(local_stack))


def _settings(stack: LocalStack) -> dict[str, dict[str, str]]:
    """The environment of each function by entry point, as deployed."""
    functions = stack.client("lambda").list_functions()["Functions"]
    return {each["Handler"]: each.get("Environment", {}).get("Variables", {}) for each in functions}


@pytest.fixture
def bucket(local_stack: LocalStack) -> str:
    """A bucket that no function is told of."""
    name = f"bare-{os.urandom(6).hex()}"
    s3 = local_stack.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def _table(stack: LocalStack, partition_key: str) -> str:
    name = f"bare-{os.urandom(6).hex()}"
    stack.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": partition_key, "AttributeType": "S"}],
        KeySchema=[{"AttributeName": partition_key, "KeyType": "HASH"}],
    )
    return name


def test_the_worker_reads_every_kind_of_file(
    package: BarePackage, bucket: str, sample_data: Path
) -> None:
    s3 = package.stack.client("s3")
    acme = (sample_data / "layouts" / "acme.toml").read_bytes()
    s3.put_object(Bucket=bucket, Key="layouts/acme.toml", Body=acme)
    uploads = [_upload(s3, bucket, sample_data / name, layout) for name, layout in SAMPLES.items()]
    places = {f"PANTOK_{name}_BUCKET": bucket for name in ("QUARANTINE", "TOKENIZED")}

    outcome = package.call(
        "pipeline.handlers.work_queue.handler",
        sqs_event(*(s3_event(upload) for upload in uploads)),
        PANTOK_LAYOUTS_URI=f"s3://{bucket}/layouts",
        **places,
    )

    assert outcome["answers"] == [{"batchItemFailures": []}]
    for upload in uploads:
        stored = s3.get_object(Bucket=bucket, Key=f"receipts/{upload.job_id}.json")
        receipt = json.loads(stored["Body"].read())
        assert (receipt["status"], receipt["reason"]) == ("committed", None), upload.key
        assert receipt["rows_written"] > 0


def _upload(s3: Any, bucket: str, file: Path, layout: str) -> Upload:
    key = f"incoming/{layout}/{file.name}"
    put = s3.put_object(Bucket=bucket, Key=key, Body=file.read_bytes())
    return Upload(bucket, key, put["VersionId"])


def test_cards_go_in_at_one_function_and_come_out_at_the_other(package: BarePackage) -> None:
    grants = _table(package.stack, "name")
    document = {"name": {"S": "grants"}, "document": {"S": GRANTS}, "changed_at": {"S": "now"}}
    package.stack.client("dynamodb").put_item(TableName=grants, Item=document)
    pans = synthetic_pans(3, seed=77)

    [answer] = package.call(
        "pipeline.handlers.api_tokenize.handler",
        _post("/tokenize", {"items": [{"pan": pan} for pan in pans]}),
        PANTOK_GRANTS_TABLE=grants,
    )["answers"]
    tokens = [each["token"] for each in _results(answer)]
    [answer] = package.call(
        "pipeline.handlers.api_detokenize.handler",
        _post("/detokenize", {"tokens": tokens, "purpose": "chargeback", "view": "full"}),
        PANTOK_GRANTS_TABLE=grants,
    )["answers"]

    assert [each["pan"] for each in _results(answer)] == pans


def _post(path: str, document: Any) -> dict[str, Any]:
    return api_event("POST", path, json.dumps(document), user_arn=SOMEONE)


def _results(answer: dict[str, Any]) -> Sequence[dict[str, Any]]:
    assert answer["statusCode"] == 200, answer
    results: Sequence[dict[str, Any]] = json.loads(answer["body"])["results"]
    return results


@pytest.fixture
def answers() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The address that CloudFormation would sign, and what is put there."""
    put: list[dict[str, str]] = []

    class Address(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            put.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Address) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/answer", put
        server.shutdown()


def test_the_fingerprint_key_is_made(
    package: BarePackage, answers: tuple[str, list[dict[str, str]]]
) -> None:
    address, put = answers
    data_keys = _table(package.stack, "data_key_id")
    event = {
        "RequestType": "Create",
        "ResponseURL": address,
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "FingerprintDataKey",
        "ResourceProperties": {
            "DataKeyId": "fingerprint-1",
            "DataKeysTable": data_keys,
            "KeyArn": package.stack.outputs["FingerprintKeyArn"],
        },
    }

    package.call("pipeline.handlers.key_setup.handler", event)

    assert [each["Status"] for each in put] == ["SUCCESS"]
    assert package.stack.client("dynamodb").scan(TableName=data_keys)["Count"] == 1


def test_every_module_comes_as_bytecode_that_is_used(package: BarePackage) -> None:
    modules = set(package.folder.rglob("*.py"))
    cached = {
        path.parent.parent / f"{path.name.split('.')[0]}.py"
        for path in package.folder.rglob("*.pyc")
    }
    assert modules == cached
    for path in package.folder.glob("pipeline/handlers/*.py"):
        path.write_text("raise RuntimeError('compiled once more')")
    package.call("pipeline.handlers.key_setup.handler")
