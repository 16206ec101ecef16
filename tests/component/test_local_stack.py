"""The local stack, on the real engine. Every test starts its own, in its own folder."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.local import LocalStack, LocalStackError, down, find, function_logs, status, up
from pipeline.local import engine as engines
from pipeline.local.errors import EngineDiedError
from pipeline.local.processes import ProcessIdentity, group_members, identify
from pipeline.local.record import read_record, write_record
from pipeline.local.state import StatePaths
from pipeline.local.waiting import wait_until

PAN = "4111111111111111"

TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  MaximumConcurrency: {Type: Number, Default: 4}
Resources:
  Rows:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
  DeadLetters: {Type: AWS::SQS::Queue}
  Work:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 60
      RedrivePolicy: {deadLetterTargetArn: !GetAtt DeadLetters.Arn, maxReceiveCount: 5}
  Intake:
    Type: AWS::S3::Bucket
    Properties:
      VersioningConfiguration: {Status: Enabled}
      NotificationConfiguration:
        QueueConfigurations: [{Event: "s3:ObjectCreated:*", Queue: !GetAtt Work.Arn}]
  Key: {Type: AWS::KMS::Key, Properties: {KeyPolicy: {Version: "2012-10-17", Statement: []}}}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: ../build/lambda
      Handler: shop.work.handler
      Runtime: python3.12
      Timeout: 10
      Environment: {Variables: {ROWS: !Ref Rows}}
      Events:
        Work:
          Type: SQS
          Properties:
            Queue: !GetAtt Work.Arn
            BatchSize: 1
            ScalingConfig: {MaximumConcurrency: !Ref MaximumConcurrency}
  Api: {Type: AWS::Serverless::Api, Properties: {StageName: live}}
Outputs:
  Rows: {Value: !Ref Rows}
  Work: {Value: !Ref Work}
  DeadLetters: {Value: !Ref DeadLetters}
  Intake: {Value: !Ref Intake}
  Key: {Value: !Ref Key}
  Worker: {Value: !Ref Worker}
  Api: {Value: !Sub "https://${Api}.execute-api.${AWS::Region}.amazonaws.com/live"}
"""

HANDLER = """
import json, os, time, boto3

def handler(event, context):
    for record in event["Records"]:
        work = json.loads(record["body"])
        if work.get("Event") == "s3:TestEvent":
            continue
        print("heard", work.get("say", "nothing"))
        time.sleep(work.get("sleep", 0))
        if "raise" in work:
            raise ValueError(work["raise"])
        keep(record["messageId"])

def keep(row_id):
    seen = {"version": VERSION, "file": __file__, "environment": json.dumps(dict(os.environ))}
    item = {"id": {"S": row_id}, **{name: {"S": value} for name, value in seen.items()}}
    boto3.client("dynamodb").put_item(TableName=os.environ["ROWS"], Item=item)
"""


@dataclass
class Site:
    """A folder with a template, a package and a stack, and what was reported of it."""

    folder: Path
    reports: list[str] = field(default_factory=list)

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def template(self) -> Path:
        return self.folder / "template.yaml"

    @property
    def paths(self) -> StatePaths:
        return StatePaths.below(self.state_dir)

    def write_code(self, version: str) -> None:
        package = self.folder / "shop"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        (package / "work.py").write_text(f"VERSION = {version!r}\n{HANDLER}")

    def up(self, **changes: Any) -> LocalStack:
        return up(
            self.state_dir,
            report=self.reports.append,
            template=self.template,
            package=self.folder / "shop",
            **changes,
        )

    def down(self, *, keep_data: bool = True) -> Any:
        return down(self.state_dir, report=self.reports.append, keep_data=keep_data)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.template.write_text(TEMPLATE)
    site.write_code("one")
    yield site
    site.down(keep_data=False)


@pytest.fixture
def bystander() -> Iterator[ProcessIdentity]:
    """A process that is nobody's business here, leading a group of its own."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, process_group=0)
    identity = identify(process.pid)
    assert identity is not None
    yield identity
    process.communicate(b"\n")


def send(stack: LocalStack, **work: object) -> None:
    stack.client("sqs").send_message(QueueUrl=stack.outputs["Work"], MessageBody=json.dumps(work))


def rows(stack: LocalStack) -> list[dict[str, str]]:
    items = stack.client("dynamodb").scan(TableName=stack.outputs["Rows"])["Items"]
    return [{name: value["S"] for name, value in item.items()} for item in items]


def eventually(condition: Callable[[], bool], seconds: float = 15) -> None:
    assert wait_until(condition, seconds)


def log_of_worker(stack: LocalStack) -> str:
    return "\n".join(function_logs(stack, f"/aws/lambda/{stack.outputs['Worker']}"))


def processes_of(stack: LocalStack) -> list[ProcessIdentity]:
    return [member.identity for member in group_members(stack.pid)]


def listening_addresses(pids: set[int]) -> set[tuple[str, int]]:
    """The (address, port) pairs on which processes listen."""
    return _from_proc(pids) if Path("/proc/net/tcp").exists() else _from_lsof(pids)


def _from_proc(pids: set[int]) -> set[tuple[str, int]]:
    """As Linux's kernel tells, in hexadecimal."""
    sockets = {
        str(link.readlink())
        for pid in pids
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink()
    }
    lines = [
        line.split()
        for table in ("tcp", "tcp6", "udp", "udp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    ours = [line for line in lines if f"socket:[{line[9]}]" in sockets]
    return {
        (_address(line[1].split(":")[0]), int(line[1].split(":")[1], 16))
        for line in ours
        if line[3] in {"0A", "07"}  # listening TCP, open UDP
    }


def _address(hexadecimal: str) -> str:
    family = socket.AF_INET if len(hexadecimal) == 8 else socket.AF_INET6
    words = bytes.fromhex(hexadecimal)
    turned = [words[at : at + 4][::-1] for at in range(0, len(words), 4)]
    return socket.inet_ntop(family, b"".join(turned) if sys.byteorder == "little" else words)


def _from_lsof(pids: set[int]) -> set[tuple[str, int]]:
    """As macOS and the BSDs tell."""
    command = ["lsof", "-nP", "-a", "-p", ",".join(map(str, pids)), "-i", "-F", "n"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    places = [line[1:] for line in listed.splitlines() if line[:1] == "n" and "->" not in line]
    return {(place.rpartition(":")[0], int(place.rpartition(":")[2])) for place in places}


def test_an_upload_passes_through_queue_and_function_to_a_table(site: Site) -> None:
    stack = site.up()
    stack.client("s3").put_object(Bucket=stack.outputs["Intake"], Key="a.csv", Body=b"1")
    eventually(lambda: len(rows(stack)) >= 1)
    eventually(lambda: "heard nothing" in log_of_worker(stack))
    assert stack.client("sqs").meta.endpoint_url == stack.endpoint_url
    assert site.reports[-1] == f"ready at {stack.endpoint_url}"


def test_functions_run_the_deployed_zip_and_see_nothing_of_the_callers_settings(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_PROFILE", "not-there")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("PANTOK_STACK", "production")
    stack = site.up()
    send(stack)
    eventually(lambda: len(rows(stack)) == 1)
    (row,) = rows(stack)
    environment = json.loads(row["environment"])
    assert row["file"].startswith(str(site.paths.scratch))
    assert environment["AWS_ENDPOINT_URL"] == stack.endpoint_url
    assert environment["AWS_CONFIG_FILE"] == os.devnull
    assert not {"PANTOK_STACK", "AWS_PROFILE", "HTTP_PROXY"} & environment.keys()


def test_an_api_is_called_on_the_engine_and_not_on_aws(site: Site) -> None:
    stack = site.up()
    api = stack.outputs["Api"]
    assert api.startswith(f"{stack.endpoint_url}/_aws/execute-api/")
    assert api.endswith("/live")


def test_a_second_up_finds_the_running_stack(site: Site) -> None:
    first = site.up()
    assert site.up() == first == find(site.state_dir)


def test_two_ups_at_once_start_one_engine(site: Site) -> None:
    stacks: list[LocalStack] = []
    terminals = [threading.Thread(target=lambda: stacks.append(site.up())) for _ in range(2)]
    for terminal in terminals:
        terminal.start()
    for terminal in terminals:
        terminal.join()
    assert len(stacks) == 2
    assert stacks[0] == stacks[1]
    assert any("waiting" in line for line in site.reports)


def test_the_next_up_deploys_changed_code_and_a_changed_template(site: Site) -> None:
    stack = site.up()
    send(stack)
    eventually(lambda: [row["version"] for row in rows(stack)] == ["one"])
    site.write_code("two")
    site.template.write_text(TEMPLATE + "  More: {Value: something}\n")
    updated = site.up()
    send(updated)
    eventually(lambda: sorted(row["version"] for row in rows(updated)) == ["one", "two"])
    assert updated.pid == stack.pid
    assert updated.outputs["More"] == "something"
    assert "updating the stack" in site.reports


def test_what_down_keeps_the_next_up_brings_back(site: Site) -> None:
    before = site.up()
    wrapped = before.client("kms").generate_data_key(
        KeyId=before.outputs["Key"], KeySpec="AES_256", EncryptionContext={"purpose": "vault"}
    )
    before.client("sqs").send_message(QueueUrl=before.outputs["DeadLetters"], MessageBody="dead")
    bucket = {"Bucket": before.outputs["Intake"], "Key": "a/b c&ü.csv"}
    old = before.client("s3").put_object(**bucket, Body=b"old")["VersionId"]
    before.client("s3").put_object(**bucket, Body=b"new")
    eventually(lambda: len(rows(before)) >= 2)
    stopped = site.down()
    assert stopped.was_running
    assert stopped.kept_data
    assert status(site.state_dir).state == "stopped"

    after = site.up()
    assert after.outputs == before.outputs
    kms = after.client("kms")
    opened = kms.decrypt(
        CiphertextBlob=wrapped["CiphertextBlob"], EncryptionContext={"purpose": "vault"}
    )
    assert opened["Plaintext"] == wrapped["Plaintext"]
    dead = after.client("sqs").receive_message(QueueUrl=after.outputs["DeadLetters"])["Messages"]
    assert [message["Body"] for message in dead] == ["dead"]
    s3 = after.client("s3")
    assert s3.get_object(**bucket)["Body"].read() == b"new"
    assert s3.get_object(**bucket, VersionId=old)["Body"].read() == b"old"
    assert {row["id"] for row in rows(after)}
    s3.put_object(**bucket, Body=b"newer")
    eventually(lambda: len(rows(after)) >= 3)


def test_an_engine_that_crashed_is_followed_by_an_empty_one(site: Site) -> None:
    stack = site.up()
    send(stack, sleep=9, say="busy")
    send(stack)
    eventually(lambda: len(rows(stack)) == 1 and len(processes_of(stack)) >= 3)
    left_over = [process for process in processes_of(stack) if process.pid != stack.pid]
    os.kill(stack.pid, signal.SIGKILL)
    eventually(lambda: find(site.state_dir) is None)

    again = site.up()
    assert rows(again) == []
    assert not any(process.is_alive for process in left_over)
    assert any("empty vault" in line for line in site.reports)


def test_no_process_and_no_code_survives_down(site: Site) -> None:
    stack = site.up()
    send(stack, sleep=9, say="busy")
    eventually(lambda: len(processes_of(stack)) >= 2)
    doomed = processes_of(stack)
    site.down()
    assert not any(process.is_alive for process in doomed)
    assert not site.paths.scratch.exists()


def test_the_engine_listens_on_loopback_only(site: Site) -> None:
    stack = site.up()
    send(stack)
    eventually(lambda: len(rows(stack)) == 1)
    pids = {process.pid for process in processes_of(stack)}
    assert len(pids) >= 2
    assert listening_addresses(pids) == {("127.0.0.1", stack.port)}


def test_no_card_number_reaches_the_engines_log(site: Site) -> None:
    stack = site.up()
    stack.client("s3").put_object(Bucket=stack.outputs["Intake"], Key="x", Body=PAN.encode())
    send(stack, say=PAN)
    send(stack, **{"raise": PAN})
    eventually(lambda: f"ValueError: {PAN}" in log_of_worker(stack))
    assert f"heard {PAN}" in log_of_worker(stack)
    site.down()
    assert PAN not in stack.log_path.read_text()


def test_the_state_folder_is_for_its_owners_eyes_only(site: Site) -> None:
    site.up()
    assert site.paths.root.stat().st_mode & 0o077 == 0


def test_status_asks_every_service(site: Site) -> None:
    stack = site.up()
    seen = status(site.state_dir)
    assert seen.stack == stack
    services = {name: word for name, word in seen.services.items() if name != "cloudformation"}
    assert seen.services["cloudformation"] == "CREATE_COMPLETE"
    assert set(services) >= {"s3", "sqs", "dynamodb", "kms", "lambda"}
    assert set(services.values()) == {"ok"}


def test_an_engine_that_dies_at_once_is_quoted(site: Site) -> None:
    command = [sys.executable, "-c", "print('no such luck'); raise SystemExit(3)"]
    with pytest.raises(EngineDiedError, match=r"(?s)exit code 3.*engine\.log.*no such luck"):
        site.up(command=command)
    with pytest.raises(EngineDiedError, match="cannot be started"):
        site.up(command=["/nowhere/python"])
    assert status(site.state_dir).state == "stopped"


def test_an_engine_that_never_answers_is_given_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "READY_SECONDS", 0.5)
    with pytest.raises(LocalStackError, match=r"did not answer on port \d+ within"):
        site.up(command=["sleep", "60"])
    assert status(site.state_dir).state == "stopped"


def test_a_resource_that_fails_is_named_with_its_reason(site: Site) -> None:
    site.template.write_text(TEMPLATE.replace("VisibilityTimeout: 60", "VisibilityTimeout: 99999"))
    with pytest.raises(LocalStackError, match=r"(?s)Work: .*VisibilityTimeout.*engine\.log"):
        site.up()
    assert status(site.state_dir).state == "stopped"
    site.template.write_text(TEMPLATE)
    assert site.up().outputs["Work"]


def test_a_template_that_no_engine_would_take_is_refused(site: Site) -> None:
    site.template.write_text("Resources: {A: {Type: AWS::No::Such}}")
    with pytest.raises(LocalStackError, match=r"refused: .*AWS::No::Such"):
        site.up()
    site.template.write_text("Resources: {A: ")
    with pytest.raises(LocalStackError, match="not YAML"):
        site.up()
    site.template.unlink()
    with pytest.raises(LocalStackError, match="no template at"):
        site.up()


def test_a_failed_update_leaves_the_old_stack_at_work(site: Site) -> None:
    stack = site.up()
    site.template.write_text(TEMPLATE.replace("VisibilityTimeout: 60", "VisibilityTimeout: 99999"))
    with pytest.raises(LocalStackError, match="VisibilityTimeout"):
        site.up()
    site.template.write_text(TEMPLATE)
    assert site.up().pid == stack.pid
    send(stack)
    eventually(lambda: len(rows(stack)) == 1)


def test_an_interrupted_up_leaves_nothing_running(site: Site) -> None:
    started: list[ProcessIdentity] = []

    def interrupt(line: str) -> None:
        record = read_record(site.paths)
        if line == "deploying the template" and record is not None:
            started.append(record.engine.process)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        up(site.state_dir, report=interrupt, template=site.template, package=site.folder / "shop")
    assert [process.is_alive for process in started] == [False]
    assert status(site.state_dir).state == "stopped"


def test_kept_data_waits_for_its_port(site: Site) -> None:
    stack = site.up()
    site.down()
    taken = f"port {stack.port}, which another program"
    with (
        socket.create_server(("127.0.0.1", stack.port)),
        pytest.raises(LocalStackError, match=taken),
    ):
        site.up()
    assert site.up().port == stack.port


def test_a_port_that_was_taken_in_the_meantime_is_replaced(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as quicker:
        taken = quicker.getsockname()[1]
        ports = iter([taken, engines.free_port()])
        monkeypatch.setattr(engines, "free_port", lambda: next(ports))
        assert site.up().port != taken
    assert any(f"port {taken} was taken" in line for line in site.reports)


def test_an_engine_that_stopped_answering_is_reported_and_still_goes_down(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "HEALTH_SECONDS", 0.2)
    monkeypatch.setattr("pipeline.local.lifecycle.ANSWER_SECONDS", 0.2)
    stack = site.up()
    os.kill(stack.pid, signal.SIGSTOP)
    assert status(site.state_dir).state == "not answering"
    with pytest.raises(LocalStackError, match=r"does not answer on port \d+: `pantok local down`"):
        site.up()
    assert site.down().kept_data
    assert status(site.state_dir).state == "stopped"


def test_a_process_that_has_the_engines_old_id_is_left_alone(
    site: Site, bystander: ProcessIdentity
) -> None:
    site.up()
    record = read_record(site.paths)
    assert record is not None
    site.down()
    reused = replace(record.engine, process=ProcessIdentity(bystander.pid, "another time"))
    write_record(site.paths, replace(record, engine=reused))
    assert status(site.state_dir).state == "stopped"
    assert not site.down().was_running
    assert bystander.is_alive


def test_down_is_harmless_where_nothing_runs(site: Site) -> None:
    assert not site.down().was_running
    site.up()
    site.down()
    again = site.down()
    assert not again.was_running
    assert again.kept_data
    assert not site.down(keep_data=False).kept_data
    shutil.rmtree(site.state_dir)
    assert not site.down().was_running
