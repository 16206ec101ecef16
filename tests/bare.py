"""The Lambda package alone: its functions in an interpreter without any other library."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.tags import platform_tags

from infra.artifact.build import fill, requirements_of
from infra.artifact.bytecode import interpreter_for
from infra.artifact.target import LAMBDA_PYTHON, MACHINES, Target
from pipeline.local import LocalStack
from pipeline.model import Upload
from pipeline.testing import api_event

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
WORKER = "pipeline.handlers.work_queue.handler"
TOKENIZE = "pipeline.handlers.api_tokenize.handler"
DETOKENIZE = "pipeline.handlers.api_detokenize.handler"
KEY_SETUP = "pipeline.handlers.key_setup.handler"

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


@dataclass(frozen=True, slots=True)
class ThisPlatform(Target):
    """The platform that runs the tests, as a target of its own: it may be none of Lambda's."""

    @property
    def platforms(self) -> list[str]:
        return list(platform_tags())

    @property
    def markers(self) -> dict[str, str]:
        here = {name: str(value) for name, value in default_environment().items()}
        version = {"python_version": self.python_version}
        return here | version | {"python_full_version": f"{self.python_version}.0"}


def target_for(python_version: str) -> Target:
    """What is closest to Lambda of what runs here: its own platform, if this is one."""
    machine = platform.machine()
    architecture = next((name for name in MACHINES if MACHINES[name] == machine), None)
    is_lambdas = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
    if architecture is not None and is_lambdas:
        return Target(architecture, python_version)
    return ThisPlatform(machine, python_version)


@dataclass(frozen=True)
class BarePackage:
    """A package, the interpreter that it was built for, and the deployment whose settings it has.

    `settings` are the environment variables of each function by entry point.
    """

    folder: Path
    interpreter: str
    stack: LocalStack
    settings: dict[str, dict[str, str]]

    def call(self, entry_point: str, *events: Any, **changed: str) -> dict[str, Any]:
        """What `bootstrap.py` tells of these calls; `changed` are other settings."""
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


def bare_package(folder: Path, stack: LocalStack) -> BarePackage:
    """Builds for this processor as `make package` does, with every extra.

    It is built for Lambda's Python where that is installed, otherwise for the one that runs this,
    and where nothing that is built for Lambda could run, of the same distributions' other wheels.
    """
    interpreter = interpreter_for(LAMBDA_PYTHON)
    target = target_for(LAMBDA_PYTHON if interpreter else "{}.{}".format(*sys.version_info))
    fill(folder, requirements_of(target, ["formats"]), target, interpreter or sys.executable)
    return BarePackage(folder, interpreter or sys.executable, stack, settings_in(stack))


def settings_in(stack: LocalStack) -> dict[str, dict[str, str]]:
    """The environment of each function by entry point, as deployed."""
    functions = stack.client("lambda").list_functions()["Functions"]
    return {each["Handler"]: each.get("Environment", {}).get("Variables", {}) for each in functions}


def new_bucket(stack: LocalStack) -> str:
    """A versioned bucket that no function is told of."""
    name, s3 = f"bare-{os.urandom(6).hex()}", stack.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def new_table(stack: LocalStack, partition_key: str) -> str:
    """A table that no function is told of."""
    name = f"bare-{os.urandom(6).hex()}"
    stack.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": partition_key, "AttributeType": "S"}],
        KeySchema=[{"AttributeName": partition_key, "KeyType": "HASH"}],
    )
    return name


def granting_table(stack: LocalStack) -> str:
    """A table with grants for `SOMEONE`."""
    name = new_table(stack, "name")
    document = {"name": {"S": "grants"}, "document": {"S": GRANTS}, "changed_at": {"S": "now"}}
    stack.client("dynamodb").put_item(TableName=name, Item=document)
    return name


def upload(stack: LocalStack, bucket: str, file: Path, layout: str) -> Upload:
    """Puts a file into the intake of such a bucket."""
    key = f"incoming/{layout}/{file.name}"
    put = stack.client("s3").put_object(Bucket=bucket, Key=key, Body=file.read_bytes())
    return Upload(bucket, key, put["VersionId"])


def places_in(bucket: str) -> dict[str, str]:
    """The settings of a worker that has this bucket for everything."""
    return {
        "PANTOK_QUARANTINE_BUCKET": bucket,
        "PANTOK_TOKENIZED_BUCKET": bucket,
        "PANTOK_LAYOUTS_URI": f"s3://{bucket}/layouts",
    }


def posted(path: str, document: Any) -> dict[str, Any]:
    """The event of a request by `SOMEONE`."""
    return api_event("POST", path, json.dumps(document), user_arn=SOMEONE)


def results_of(answer: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """The results in an answer of the API."""
    assert answer["statusCode"] == 200, answer
    results: Sequence[dict[str, Any]] = json.loads(answer["body"])["results"]
    return results
