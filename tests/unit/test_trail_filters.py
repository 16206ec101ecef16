"""What the trail tells of: events as CloudTrail writes them, and which of them are counted."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from pipeline.core.audit import Access, AuditedItem, audit_line
from pipeline.core.grants import Caller
from pipeline.testing import A_MOMENT
from tests.filter_patterns import MAX_CHARACTERS, FilterPattern
from tests.template import ACCOUNT, WATCH_PATH, Template, WatchTemplate, exports, load

STACK = "pantok-test"
VAULT_KEY = exports()[f"{STACK}-VaultKeyArn"]
FINGERPRINT_KEY = exports()[f"{STACK}-FingerprintKeyArn"]
OTHER_KEY = VAULT_KEY.replace("VaultKey", "OtherKey")
INTRUDER = {"type": "AssumedRole", "principalId": "AROAINTRUDERXXXXXXXXX:somebody"}
USER = {"type": "IAMUser", "principalId": "AIDAXXXXXXXXXXXXXXXXX"}
SERVICE = {"type": "AWSService", "invokedBy": "somebody.amazonaws.com"}
STRANGERS = (INTRUDER, USER, SERVICE)
DENIED = {"errorCode": "AccessDenied"}


def session(role: str) -> dict[str, str]:
    """A session of one of the stack's roles."""
    role_id = exports()[f"{STACK}-{role}Id"]
    return {"type": "AssumedRole", "principalId": f"{role_id}:session"}


def kms(name: str, who: Any, key: str | None = VAULT_KEY, **more: Any) -> dict[str, Any]:
    resources = {"resources": [{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": key}]}
    return {
        "eventSource": "kms.amazonaws.com",
        "eventName": name,
        "eventCategory": "Management",
        "userIdentity": who,
        **(resources if key else {}),
        **more,
    }


def data(service: str, name: str, who: Any, **more: Any) -> dict[str, Any]:
    source = f"{service}.amazonaws.com"
    return {
        "eventSource": source,
        "eventName": name,
        "eventCategory": "Data",
        "userIdentity": who,
        **more,
    }


def management(service: str, event_name: str, /, **parameters: Any) -> dict[str, Any]:
    return {
        "eventSource": f"{service}.amazonaws.com",
        "eventName": event_name,
        "eventCategory": "Management",
        "userIdentity": USER,
        "requestParameters": parameters,
    }


@cache
def template() -> Template:
    return WatchTemplate(load(WATCH_PATH))


def filters() -> dict[str, dict[str, Any]]:
    return template().of_type("AWS::Logs::MetricFilter")


def counted(event: dict[str, Any]) -> set[str]:
    """The metrics that count the event, whatever CloudWatch thinks of missing fields."""
    found = []
    for missing_differs in (True, False):
        metrics = {
            each["MetricTransformations"][0]["MetricName"]
            for each in filters().values()
            if FilterPattern(each["FilterPattern"], missing_differs=missing_differs).matches(event)
        }
        found.append(metrics)
    assert found[0] == found[1]
    return found[0]


USES = ("Decrypt", "Encrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext")


@pytest.mark.parametrize("name", [*USES, "CreateGrant"])
@pytest.mark.parametrize("who", STRANGERS, ids=lambda who: who["type"])
@pytest.mark.parametrize("key", [VAULT_KEY, FINGERPRINT_KEY])
def test_a_stranger_who_uses_a_sealing_key_is_counted(name: str, who: Any, key: str) -> None:
    assert counted(kms(name, who, key)) == {"SealingKeysUsedByOthers"}


@pytest.mark.parametrize(
    ("role", "name", "key"),
    [
        ("WorkerRole", "GenerateDataKey", VAULT_KEY),
        ("TokenizeRole", "GenerateDataKey", VAULT_KEY),
        ("DetokenizeRole", "Decrypt", VAULT_KEY),
        ("ReindexRole", "Decrypt", VAULT_KEY),
        ("VaultKeeperRole", "Decrypt", VAULT_KEY),
        ("KeyRotationRole", "ReEncrypt", VAULT_KEY),
        ("WorkerRole", "Decrypt", FINGERPRINT_KEY),
        ("TokenizeRole", "Decrypt", FINGERPRINT_KEY),
        ("ReindexRole", "Decrypt", FINGERPRINT_KEY),
        ("VaultKeeperRole", "Decrypt", FINGERPRINT_KEY),
        ("KeyRotationRole", "ReEncrypt", FINGERPRINT_KEY),
        ("KeySetupRole", "GenerateDataKeyWithoutPlaintext", FINGERPRINT_KEY),
    ],
)
def test_those_who_use_them_by_trade_are_not(role: str, name: str, key: str) -> None:
    assert counted(kms(name, session(role), key)) == set()


def test_a_role_that_uses_the_other_of_the_two_keys_is_a_stranger_to_it() -> None:
    event = kms("Decrypt", session("DetokenizeRole"), FINGERPRINT_KEY)
    assert counted(event) == {"SealingKeysUsedByOthers"}


def test_other_keys_and_looking_at_a_key_count_for_nothing() -> None:
    assert counted(kms("Decrypt", INTRUDER, OTHER_KEY)) == set()
    assert counted(kms("DescribeKey", USER)) == set()


@pytest.mark.parametrize(
    "event",
    [
        kms("Decrypt", session("WorkerRole"), **DENIED),
        kms("Decrypt", session("WorkerRole"), None, **DENIED, errorMessage=f"no: {VAULT_KEY} x"),
        kms("Encrypt", session("AuditorRole"), None, **DENIED, errorMessage=f"{FINGERPRINT_KEY}"),
        kms(
            "Decrypt",
            USER,
            None,
            errorCode="AccessDeniedException",
            errorMessage="The ciphertext refers to a customer master key that does not exist",
        ),
    ],
    ids=["told by resource", "told by message", "the fingerprint key", "told by nothing"],
)
def test_whoever_is_denied_a_sealing_key_is_counted(event: dict[str, Any]) -> None:
    assert "SealingKeysDenied" in counted(event)


def test_a_denial_of_another_key_is_not() -> None:
    event = kms("Decrypt", USER, OTHER_KEY, **DENIED, errorMessage=f"no: {OTHER_KEY}")
    assert counted(event) == set()


READERS = ("DetokenizeRole", "ReindexRole", "VaultKeeperRole", "VaultAuditRole", "AuditorRole")


@pytest.mark.parametrize("name", ["GetItem", "Scan", "BatchExecuteStatement", "DeleteItem"])
@pytest.mark.parametrize("who", STRANGERS, ids=lambda who: who["type"])
def test_a_stranger_at_the_vault_is_counted(name: str, who: Any) -> None:
    assert counted(data("dynamodb", name, who)) == {"VaultUsedByOthers"}


@pytest.mark.parametrize("role", [*READERS, "WorkerRole", "TokenizeRole"])
def test_those_who_are_there_by_trade_are_not(role: str) -> None:
    assert counted(data("dynamodb", "GetItem", session(role))) == set()


def written(table: str, who: Any, *others: str, **more: Any) -> dict[str, Any]:
    tables = [f"arn:aws:dynamodb:x:{ACCOUNT}:table/{STACK}-{each}" for each in (*others, table)]
    resources = [{"type": "AWS::DynamoDB::Table", "ARN": each} for each in tables]
    return data("dynamodb", "PutItem", who, resources=resources, **more)


def test_whoever_changes_the_grants_is_counted() -> None:
    keeper = session("GrantsRole")
    assert counted(written("grants", keeper)) == {"GrantsChanged"}
    assert counted(written("grants", keeper, "limits")) == {"GrantsChanged"}
    for stranger in STRANGERS:
        assert counted(written("grants", stranger)) == {"GrantsChanged", "VaultUsedByOthers"}


KEEPERS_OF_KEYS = ("KeyRotationRole", "KeyShredRole", "KeySetupRole", "ReindexRole")


@pytest.mark.parametrize("role", [*KEEPERS_OF_KEYS, "WorkerRole", "TokenizeRole"])
def test_a_stranger_who_changes_data_keys_is_counted_and_their_keepers_are_not(role: str) -> None:
    assert counted(written("data-keys", session(role))) == set()
    for stranger in STRANGERS:
        assert counted(written("data-keys", stranger)) == {"VaultUsedByOthers"}


@pytest.mark.parametrize("role", ["GrantsRole", "KeyRotationRole", "KeyShredRole", "KeySetupRole"])
def test_who_keeps_grants_or_keys_and_is_denied_the_vault_is_counted(role: str) -> None:
    assert counted(written("vault", session(role), **DENIED)) == {"StoresDenied"}


@pytest.mark.parametrize("name", ["GetObject", "GetObjectTagging", "GetObjectAttributes"])
@pytest.mark.parametrize("who", [*STRANGERS, session("DetokenizeRole")])
def test_whoever_else_reads_a_file_in_quarantine_is_counted(name: str, who: Any) -> None:
    assert counted(data("s3", name, who)) == {"QuarantineReadByOthers"}


@pytest.mark.parametrize("role", ["WorkerRole", "RepairRole"])
def test_worker_and_repair_read_files_and_everybody_may_upload(role: str) -> None:
    assert counted(data("s3", "GetObject", session(role))) == set()
    assert counted(data("s3", "PutObject", USER)) == set()


@pytest.mark.parametrize("role", ["WorkerRole", "TokenizeRole", "DetokenizeRole"])
def test_a_function_that_is_denied_is_counted(role: str) -> None:
    event = data("dynamodb", "DeleteItem", session(role), **DENIED)
    assert counted(event) == {"StoresDenied"}


@pytest.mark.parametrize(
    ("metric", "event"),
    [
        ("KeysEndangered", management("kms", "ScheduleKeyDeletion")),
        ("KeysEndangered", management("kms", "DisableKey")),
        ("KeysEndangered", management("kms", "DisableKeyRotation")),
        ("TablesCopied", management("dynamodb", "ExportTableToPointInTime")),
        ("TablesCopied", management("dynamodb", "RestoreTableToPointInTime")),
        ("TablesCopied", management("dynamodb", "RestoreTableFromBackup")),
        ("TablesCopied", management("dynamodb", "CreateBackup")),
        ("PoliciesChanged", management("kms", "PutKeyPolicy")),
        *(
            ("PoliciesChanged", management("iam", name, roleName=f"{STACK}-WorkerRole-ABC"))
            for name in ("PutRolePolicy", "AttachRolePolicy", "UpdateAssumeRolePolicy")
        ),
        ("PoliciesChanged", management("s3", "PutBucketPolicy", bucketName=f"{STACK}-tokenized-1")),
        ("PoliciesChanged", management("s3", "DeleteBucketEncryption", bucketName=f"{STACK}-x")),
        (
            "PoliciesChanged",
            management("dynamodb", "UpdateContinuousBackups", tableName=f"{STACK}-vault"),
        ),
        (
            "PoliciesChanged",
            management("dynamodb", "PutResourcePolicy", resourceArn=f"arn:x:table/{STACK}-vault"),
        ),
        (
            "PoliciesChanged",
            management("lambda", "UpdateFunctionCode20150331v2", functionName=f"{STACK}-worker"),
        ),
        ("PoliciesChanged", management("lambda", "AddPermission", functionName=f"x:{STACK}-watch")),
        ("WatchChanged", management("cloudtrail", "StopLogging", name="trail")),
        ("WatchChanged", management("cloudtrail", "PutEventSelectors", trailName="trail")),
        (
            "WatchChanged",
            management("logs", "DeleteLogGroup", logGroupName=f"/pantok/{STACK}/audit"),
        ),
        ("WatchChanged", management("monitoring", "DisableAlarmActions", alarmNames=["x"])),
        ("WatchChanged", management("sns", "Unsubscribe", subscriptionArn="x")),
        ("WatchChanged", management("events", "DisableRule", name=f"{STACK}-WatchFunctionLook-1")),
        ("WatchChanged", management("events", "RemoveTargets", rule=f"{STACK}-WatchFunctionLook")),
    ],
    ids=lambda value: value if isinstance(value, str) else value["eventName"],
)
def test_what_endangers_the_deployment_is_counted(metric: str, event: dict[str, Any]) -> None:
    assert counted(event) == {metric}


@pytest.mark.parametrize(
    "event",
    [
        management("iam", "PutRolePolicy", roleName="another-role"),
        management("s3", "PutBucketPolicy", bucketName="another"),
        management("dynamodb", "UpdateTable", tableName="another"),
        management("lambda", "UpdateFunctionCode20150331v2", functionName="another"),
        management("logs", "DeleteLogGroup", logGroupName="/another"),
        management("events", "DisableRule", name="another"),
        management("kms", "CreateKey"),
        management("sts", "AssumeRole"),
    ],
    ids=lambda event: event["eventName"],
)
def test_what_others_do_with_what_is_theirs_is_not(event: dict[str, Any]) -> None:
    assert counted(event) == set()


@pytest.mark.parametrize("is_canary", [True, False])
def test_the_record_itself_tells_of_canaries(is_canary: bool) -> None:
    caller = Caller("arn:aws:iam::1:role/x", "s", "192.0.2.1", "r")
    item = AuditedItem("tok_" + "a" * 26, "opened")
    access = Access(caller, "detokenize", "answered", items=[item], canary=is_canary)
    record = json.loads(audit_line(access, A_MOMENT))
    assert counted(record) == ({"CanariesAskedFor"} if is_canary else set())


@pytest.mark.parametrize("name", filters())
def test_a_pattern_is_no_longer_than_cloudwatch_takes(name: str) -> None:
    assert len(filters()[name]["FilterPattern"]) <= MAX_CHARACTERS
