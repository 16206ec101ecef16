"""What people call with their commands is what the template lets their roles do, and no more.

The commands run on moto, under the names that the template gives; each request that they send is
put before the template's own documents.
"""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from pipeline.cli import session as cli_session
from pipeline.cli.main import app
from pipeline.cli.session import Deployment
from pipeline.core.messages import Failure, dead_letter_of_upload
from pipeline.core.rejects import RejectedRow
from pipeline.errors import PermanentError
from pipeline.model import Upload
from pipeline.testing import A_MOMENT
from tests.authorization import Request, is_allowed
from tests.policies import allows, as_list, matches
from tests.template import PSEUDO_PARAMETERS, REGION, Template, load
from tests.template_checks.access import identity_statements
from tests.template_mutants import attach

JOB, MISSING = (f"job_{letter * 26}" for letter in "ab")
COMMANDS: Mapping[str, Sequence[Sequence[str]]] = {
    "KeeperRole": (
        ("layouts", "list"),
        ("layouts", "show", "acme"),
        ("layouts", "show", "card-present"),
        ("layouts", "add", "FOLDER/other.toml"),
        ("layouts", "add", "FOLDER/folders.toml"),
        ("inspect", "FOLDER/settlement.csv", "--layout", "acme"),
        ("dlq", "list"),
        ("dlq", "show", ""),
        ("dlq", "replay", "--all", "--dry-run"),
        ("dlq", "replay", "--all"),
        ("jobs",),
        ("receipt", JOB),
        ("receipt", MISSING),
        ("rejects", "list", JOB),
    ),
    "RepairRole": (
        ("receipt", JOB),
        ("receipt", MISSING),
        ("rejects", "list", JOB),
        ("rejects", "export", JOB, "-o", "FOLDER/repair.jsonl"),
        ("rejects", "replay", JOB, "FOLDER/repair.jsonl"),
    ),
}

# What the services do with the key behind them, in the caller's name.
OPENING = ("kms:Decrypt",)
SEALING = ("kms:GenerateDataKey",)
KEY_USE: Mapping[str, Sequence[str]] = {
    "s3:GetObject": OPENING,
    "s3:PutObject": SEALING,
    "sqs:ReceiveMessage": OPENING,
    "sqs:SendMessage": OPENING + SEALING,
    "dynamodb:GetItem": OPENING,
    "dynamodb:Scan": OPENING,
}
KEYS = {
    **{"QuarantineBucket": "QuarantineKey", "TokenizedBucket": "TokenizedKey"},
    **{"DeadLetterQueue": "QueueKey", "WorkQueue": "QueueKey", "JobsTable": "TablesKey"},
}
ACTIONS = {"s3:ListObjectsV2": "s3:ListBucket", "s3:HeadObject": "s3:GetObject"}
LAYOUT = 'name = "{}"\n[columns.card]\nrole = "pan"\n'
REJECTED = RejectedRow(1, "pan_masked", "card", b"****")


@dataclass(frozen=True)
class Deployed:
    """What moto has of the stack; `sent` are the requests since, as (operation, parameters)."""

    template: Template
    folder: Path
    sent: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def run(self, *arguments: str) -> None:
        """One command; it may find nothing, and nothing else may go wrong."""
        said = [word.replace("FOLDER", str(self.folder)) for word in arguments]
        done = CliRunner().invoke(app, [*said, *([] if "export" in said else ["--json"])])
        if done.exit_code:
            assert isinstance(done.exception, PermanentError), done.exception
            assert done.exception.code == "no_receipt"

    def requests(self) -> list[Request]:
        """What IAM is asked for, what follows from a request with it."""
        asked = [Request("cloudformation:DescribeStacks", PSEUDO_PARAMETERS["AWS::StackId"])]
        for operation, params in self.sent:
            asked += self._asked(ACTIONS.get(operation, operation), params)
        return asked

    def _asked(self, action: str, params: Mapping[str, Any]) -> Iterator[Request]:
        owner = self._owner(params)
        arn, context = self.template.arn(owner), {}
        if action == "s3:GetObject":
            yield Request(
                "s3:ListBucket", arn
            )  # so that a missing key is told from a forbidden one
        if action in ("s3:GetObject", "s3:PutObject"):
            arn = f"{arn}/{params['Key']}"
        if "Prefix" in params:
            context["s3:prefix"] = [params["Prefix"]]
        yield Request(action, arn, context)
        via = {"kms:ViaService": [f"{action.partition(':')[0]}.{REGION}.amazonaws.com"]}
        for use in KEY_USE.get(action, ()):
            yield Request(use, self.template.arn(KEYS[owner]), via)

    def _owner(self, params: Mapping[str, Any]) -> str:
        """The logical id of the bucket, queue or table."""
        names = {self.template.name(owner): owner for owner in KEYS}
        url = params.get("QueueUrl", "").rpartition("/")[2]
        return names[url or params.get("Bucket") or params["TableName"]]


@pytest.fixture(scope="module")
def template() -> Template:
    return Template(load())


@pytest.fixture
def deployed(
    template: Template, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Deployed]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        outputs = _made(boto3.Session(), template)
        _fill(Deployment("pantok-test", boto3.Session(), outputs))
        _write(tmp_path)
        session = boto3.Session()
        target = Deployment("pantok-test", session, outputs)
        deployed = Deployed(template, tmp_path)

        def note(params: Mapping[str, Any], model: Any, **_kwargs: object) -> None:
            operation = f"{model.service_model.service_name}:{model.name}"
            deployed.sent.append((operation, dict(params)))

        session.events.register("provide-client-params.*.*", note)
        monkeypatch.setattr(cli_session, "_local_deployment", lambda: target)
        monkeypatch.setattr(cli_session, "_aws_deployment", lambda _name: target)
        yield deployed


def _made(session: Any, template: Template) -> dict[str, str]:
    s3, sqs, dynamodb = map(session.client, ("s3", "sqs", "dynamodb"))
    outputs = {name: template.name(name) for name in ("QuarantineBucket", "TokenizedBucket")}
    for bucket in outputs.values():
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    for queue in ("DeadLetterQueue", "WorkQueue"):
        created = sqs.create_queue(QueueName=template.name(queue))
        outputs[f"{queue}Url"] = created["QueueUrl"]
    outputs["JobsTable"] = template.name("JobsTable")
    dynamodb.create_table(
        TableName=outputs["JobsTable"],
        AttributeDefinitions=[{"AttributeName": "job_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "job_id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return {**outputs, "LayoutsUri": f"s3://{outputs['QuarantineBucket']}/layouts"}


def _fill(target: Deployment) -> None:
    s3, quarantine = target.client("s3"), target.outputs["QuarantineBucket"]
    rejects = f"rejects/{JOB}/1.jsonl.gz"
    s3.put_object(Bucket=quarantine, Key="layouts/acme.toml", Body=LAYOUT.format("acme"))
    s3.put_object(Bucket=quarantine, Key=rejects, Body=gzip.compress(REJECTED.as_line()))
    s3.put_object(
        Bucket=target.outputs["TokenizedBucket"],
        Key=f"receipts/{JOB}.json",
        Body=json.dumps(_receipt(f"s3://{quarantine}/{rejects}")),
    )
    target.ledger.start(JOB, {"uri": "s3://x/incoming/acme/a.csv", "layout": "acme"}, A_MOMENT)
    upload = Upload(quarantine, "incoming/acme/b.csv", "v1")
    letter = dead_letter_of_upload(upload, Failure("unknown_layout", "no layout", 1, A_MOMENT))
    target.client("sqs").send_message(
        QueueUrl=target.outputs["DeadLetterQueueUrl"], MessageBody=json.dumps(letter)
    )


def _receipt(rejects_uri: str) -> dict[str, Any]:
    return {
        **{"job_id": JOB, "status": "committed", "layout": "acme"},
        **{"rows_read": 1, "rows_written": 0, "rows_rejected": 1, "rejects_uris": [rejects_uri]},
        **{"rejects_by_reason": {"pan_masked": 1}, "rejected_rows": {"pan_masked": [1]}},
    }


def _write(folder: Path) -> None:
    (folder / "other.toml").write_text(LAYOUT.format("other"))
    (folder / "folders.toml").write_text('"incoming/partner/" = "acme"\n')
    (folder / "settlement.csv").write_text("card\n4111111111111111\n")


@pytest.mark.parametrize(("role", "commands"), COMMANDS.items())
def test_each_request_of_a_roles_commands_is_allowed(
    role: str, commands: Sequence[Sequence[str]], deployed: Deployed
) -> None:
    for command in commands:
        deployed.run(*command)
    refused = [
        each for each in deployed.requests() if not is_allowed(deployed.template, role, each)
    ]
    assert refused == []


@pytest.mark.parametrize(("role", "commands"), COMMANDS.items())
def test_nothing_is_granted_that_no_command_asks_for(
    role: str, commands: Sequence[Sequence[str]], deployed: Deployed
) -> None:
    for command in commands:
        deployed.run(*command)
    asked = deployed.requests()
    for statement in filter(allows, identity_statements(deployed.template, role)):
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                assert any(
                    each.action == action and matches(resource, each.resource) for each in asked
                ), (statement["Sid"], action, resource)


READERS = {"layouts/acme.toml": {"KeeperRole"}, f"rejects/{JOB}/1": {"RepairRole"}}


@pytest.mark.parametrize("role", ["AuditorRole", "KeeperRole", "RepairRole", "VaultKeeperRole"])
def test_quarantine_is_closed_even_to_a_role_that_somebody_gives_leave(role: str) -> None:
    raw = copy.deepcopy(load())
    everything = {"Fn::Sub": "${QuarantineBucket.Arn}/*"}
    attach(role, Action="s3:GetObject", Resource=everything)(raw)
    template = Template(raw)
    for key in (*READERS, "incoming/acme/a.csv", f"staging/{JOB}/1"):
        request = Request("s3:GetObject", f"{template.arn('QuarantineBucket')}/{key}")
        assert is_allowed(template, role, request) == (role in READERS.get(key, ())), key


UPLOADERS_STATEMENTS = (
    {"Action": "cloudformation:DescribeStacks", "Resource": {"Ref": "AWS::StackId"}},
    {"Action": "s3:PutObject", "Resource": {"Fn::Sub": "${QuarantineBucket.Arn}/incoming/*"}},
    {"Action": "kms:GenerateDataKey", "Resource": {"Fn::GetAtt": ["QuarantineKey", "Arn"]}},
)


def test_an_uploader_needs_to_put_and_the_keys_data_key_alone(deployed: Deployed) -> None:
    """What the README says of uploaders, for a role that is not of the template."""
    deployed.run("upload", "FOLDER/settlement.csv", "--layout", "acme")
    ((operation, _),) = deployed.sent
    assert operation == "s3:PutObject"
    raw = copy.deepcopy(load())
    raw["Resources"]["UploaderRole"] = {"Type": "AWS::IAM::Role", "Properties": {}}
    attach("UploaderRole")(raw)
    document = raw["Resources"]["Attached"]["Properties"]["PolicyDocument"]
    document["Statement"] = [{"Effect": "Allow", **each} for each in UPLOADERS_STATEMENTS]
    template = Template(raw)
    assert all(is_allowed(template, "UploaderRole", each) for each in deployed.requests())
    uploaded = f"{template.arn('QuarantineBucket')}/incoming/acme/settlement.csv"
    assert not is_allowed(template, "UploaderRole", Request("s3:GetObject", uploaded))
