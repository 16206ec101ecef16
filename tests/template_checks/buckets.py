"""Buckets: closed, encrypted, versioned, logged, and emptied in time."""

from typing import Any

from tests.policies import (
    S3_READS,
    S3_TAGGING,
    Statement,
    allows,
    as_list,
    condition_values,
    covers,
    granted,
    principals,
    refuses_without_tls,
    statements,
)
from tests.template import ACCOUNT, UPLOADER_ARN, Template
from tests.template_checks.access import identity_statements

LOG_BUCKET = "AccessLogBucket"
NOT_THESE = ("ArnNotEquals", "aws:PrincipalArn")


def bucket_policy(template: Template, bucket: str) -> list[Statement]:
    return [
        statement
        for properties in template.of_type("AWS::S3::BucketPolicy").values()
        if properties["Bucket"] == template.name(bucket)
        for statement in statements(properties["PolicyDocument"])
    ]


def lifecycle_rules(template: Template, bucket: str) -> list[dict[str, Any]]:
    properties = template.properties(bucket)
    rules: list[dict[str, Any]] = properties.get("LifecycleConfiguration", {}).get("Rules", [])
    return [rule for rule in rules if rule["Status"] == "Enabled"]


def check_buckets_refuse_requests_without_tls(template: Template) -> list[str]:
    return [
        f"{bucket} takes requests without TLS"
        for bucket in template.of_type("AWS::S3::Bucket")
        if not refuses_without_tls(
            bucket_policy(template, bucket),
            "s3",
            template.arn(bucket),
            f"{template.arn(bucket)}/any/object",
        )
    ]


def check_buckets_are_closed_to_the_public(template: Template) -> list[str]:
    blocks = {"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}
    findings = []
    for bucket, properties in template.of_type("AWS::S3::Bucket").items():
        blocked = properties.get("PublicAccessBlockConfiguration", {})
        findings += [f"{bucket}: no {name}" for name in blocks if blocked.get(name) is not True]
        owners = properties.get("OwnershipControls", {}).get("Rules", [])
        if owners != [{"ObjectOwnership": "BucketOwnerEnforced"}]:
            findings.append(f"{bucket}: objects may belong to others")
    return findings


def check_buckets_keep_versions(template: Template) -> list[str]:
    return [
        f"{bucket} forgets versions"
        for bucket, properties in template.of_type("AWS::S3::Bucket").items()
        if properties.get("VersioningConfiguration") != {"Status": "Enabled"}
    ]


def check_buckets_encrypt_with_kms(template: Template) -> list[str]:
    findings = []
    for bucket, properties in template.of_type("AWS::S3::Bucket").items():
        for rule in properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]:
            if rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] != "aws:kms":
                findings.append(f"{bucket} does not encrypt with KMS")
            if rule.get("BucketKeyEnabled") is not True:
                findings.append(f"{bucket} calls KMS for every object")
            if rule.get("BlockedEncryptionTypes") != {"EncryptionType": ["SSE-C"]}:
                findings.append(f"{bucket} takes objects that only their sender can read")
    return findings


def check_requests_cannot_choose_another_encryption(template: Template) -> list[str]:
    header = "s3:x-amz-server-side-encryption"
    keys = {"QuarantineBucket": "QuarantineKey", "TokenizedBucket": "TokenizedKey"}
    return [
        f"{bucket} takes objects under any key"
        for bucket, key in keys.items()
        if not any(
            not allows(statement)
            and principals(statement) == {"*"}
            and covers(statement, "s3:PutObject", f"{template.arn(bucket)}/any/object")
            and statement.get("Condition")
            == {
                "Null": {header: "false"},
                "StringNotEquals": {f"{header}-aws-kms-key-id": template.arn(key)},
            }
            for statement in bucket_policy(template, bucket)
        )
    ]


def check_incomplete_uploads_are_dropped(template: Template) -> list[str]:
    return [
        f"{bucket} keeps incomplete uploads"
        for bucket in template.of_type("AWS::S3::Bucket")
        if not any(
            0 < rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation", 0) <= 7
            and not rule.get("Prefix")
            for rule in lifecycle_rules(template, bucket)
        )
    ]


def check_access_is_logged(template: Template) -> list[str]:
    logs = template.name(LOG_BUCKET)
    findings = []
    for bucket, properties in template.of_type("AWS::S3::Bucket").items():
        logging = properties.get("LoggingConfiguration", {})
        if bucket == LOG_BUCKET:
            if logging:
                findings.append(f"{bucket} logs itself for ever")
        elif logging.get("DestinationBucketName") != logs:
            findings.append(f"{bucket} logs no access")
        elif not log_delivery_may_put(template, bucket, logging["LogFilePrefix"]):
            findings.append(f"{bucket}: the log bucket refuses its logs")
    return findings


def log_delivery_may_put(template: Template, source: str, prefix: str) -> bool:
    return any(
        allows(statement)
        and principals(statement) == {"logging.s3.amazonaws.com"}
        and covers(statement, "s3:PutObject", f"{template.arn(LOG_BUCKET)}/{prefix}any")
        and condition_values(statement, "StringEquals", "aws:SourceAccount") == [ACCOUNT]
        and template.arn(source) in condition_values(statement, "ArnEquals", "aws:SourceArn")
        for statement in bucket_policy(template, LOG_BUCKET)
    )


def check_bucket_policies_allow_these_alone(template: Template) -> list[str]:
    expected = {
        ("AccessLogBucket", "logging.s3.amazonaws.com"): {"s3:PutObject"},
        ("QuarantineBucket", UPLOADER_ARN): {"s3:AbortMultipartUpload", "s3:PutObject"},
    }
    findings = []
    for bucket in template.of_type("AWS::S3::Bucket"):
        for statement in bucket_policy(template, bucket):
            if not allows(statement):
                continue
            for principal in principals(statement):
                actions = set(as_list(statement.get("Action")))
                if actions != expected.get((bucket, principal)):
                    findings.append(f"{bucket}: {principal} may {sorted(actions)}")
    return findings


def check_uploaders_put_into_the_intake_alone(template: Template) -> list[str]:
    quarantine = template.arn("QuarantineBucket")
    return [
        f"{statement.get('Sid')}: {statement.get('Resource')}"
        for statement in bucket_policy(template, "QuarantineBucket")
        if allows(statement) and as_list(statement.get("Resource")) != [f"{quarantine}/incoming/*"]
    ]


def undenied(template: Template, actions: frozenset[str], key: str, *but: str) -> list[str]:
    """The actions on an object that the quarantine bucket does not deny to all but these roles."""
    anywhere = f"{template.arn('QuarantineBucket')}/{key}"
    operator, condition_key = NOT_THESE
    arns: str | list[str] = [template.arn(role) for role in but]
    worker = {operator: {condition_key: arns[0] if len(but) == 1 else arns}}
    denials = [
        statement
        for statement in bucket_policy(template, "QuarantineBucket")
        if not allows(statement)
        and principals(statement) == {"*"}
        and statement.get("Condition") == worker
    ]
    return sorted(
        action
        for action in actions
        if not any(covers(statement, action, anywhere) for statement in denials)
    )


def check_quarantine_is_read_by_the_worker_alone(template: Template) -> list[str]:
    keys = ("incoming/file", "staging/file", "any/object")
    findings = [
        f"others may {action} {key}"
        for key in keys
        for action in undenied(template, S3_READS, key, "WorkerRole")
    ]
    for role in template.of_type("AWS::IAM::Role").keys() - {"WorkerRole"}:
        policy = identity_statements(template, role)
        for key in keys:
            arn = f"{template.arn('QuarantineBucket')}/{key}"
            findings += [f"{role} may {action}" for action in granted(policy, S3_READS, arn)]
    return findings


def others_who_read(template: Template, key: str, *readers: str) -> list[str]:
    findings = [f"others may {action}" for action in undenied(template, S3_READS, key, *readers)]
    arn = f"{template.arn('QuarantineBucket')}/{key}"
    for role in template.of_type("AWS::IAM::Role").keys() - set(readers):
        policy = identity_statements(template, role)
        findings += [f"{role} may {action}" for action in granted(policy, S3_READS, arn)]
    return findings


def check_rejects_are_read_by_the_worker_and_for_repair_alone(template: Template) -> list[str]:
    return others_who_read(template, "rejects/file", "WorkerRole", "RepairRole")


def check_layouts_are_read_by_the_worker_and_their_keeper_alone(template: Template) -> list[str]:
    return others_who_read(template, "layouts/file", "WorkerRole", "KeeperRole")


def check_quarantine_is_tagged_by_the_worker_alone(template: Template) -> list[str]:
    findings = []
    for key in ("any/object", "rejects/file"):
        left = undenied(template, S3_TAGGING, key, "WorkerRole")
        findings += [f"others may {action} {key}" for action in left]
    return findings


def check_uploads_are_announced(template: Template) -> list[str]:
    notifications = template.properties("QuarantineBucket").get("NotificationConfiguration", {})
    expected = {
        "Event": "s3:ObjectCreated:*",
        "Queue": template.arn("WorkQueue"),
        "Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": "incoming/"}]}},
    }
    findings = []
    if notifications != {"QueueConfigurations": [expected]}:
        findings.append(f"announced: {notifications}")
    if "WorkQueuePolicy" not in as_list(template.resources["QuarantineBucket"].get("DependsOn")):
        findings.append("the notification may be set before the queue takes it")
    return findings


DEAD_LETTER_DAYS = 14  # a replay goes on from what earlier attempts staged
WORK_QUEUE_DAYS = 4  # before that, a version that another one replaced waits there


def expires(rule: dict[str, Any], prefix: str) -> bool:
    """Whether a version under the prefix goes, and goes for good within a day of expiring."""
    noncurrent = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
    return (
        rule.get("Prefix", "") == prefix and rule.get("ExpirationInDays", 0) > 0 and noncurrent == 1
    )


def check_card_numbers_leave_quarantine(template: Template) -> list[str]:
    rules = lifecycle_rules(template, "QuarantineBucket")
    tokenized = [{"Key": "pantok", "Value": "tokenized"}]
    findings = []
    if not any(expires(r, "incoming/") and r.get("TagFilters") == tokenized for r in rules):
        findings.append("tokenized files stay")
    if not any(expires(r, "rejects/") and not r.get("TagFilters") for r in rules):
        findings.append("rejects stay")
    if not any(
        expires(r, "staging/") and r["ExpirationInDays"] > 2 * DEAD_LETTER_DAYS for r in rules
    ):
        findings.append("staged parts stay, or go before a replay")
    return findings


def check_every_upload_goes_and_none_before_its_replay(template: Template) -> list[str]:
    waits = WORK_QUEUE_DAYS + DEAD_LETTER_DAYS
    rules = [
        rule
        for rule in lifecycle_rules(template, "QuarantineBucket")
        if "incoming/".startswith(rule.get("Prefix", "")) and not rule.get("TagFilters")
    ]
    expiring = [rule for rule in rules if "ExpirationInDays" in rule]
    noncurrent = [rule for rule in rules if "NoncurrentVersionExpiration" in rule]
    findings = [] if expiring else ["a file stays that nobody could tokenize"]
    if not noncurrent:
        findings.append("a version stays that nobody could tokenize")
    if any(rule["ExpirationInDays"] <= waits for rule in expiring):
        findings.append("files go before their replay")
    if any(rule["NoncurrentVersionExpiration"]["NoncurrentDays"] <= waits for rule in noncurrent):
        findings.append("versions that were replaced go before their replay")
    if template.parameters["UntokenizedRetentionDays"]["MinValue"] <= waits:
        findings.append("the parameter may be too short")
    return findings


def check_retention_is_a_parameter(template: Template) -> list[str]:
    parameters = {
        ("QuarantineBucket", "tokenized-sources"): "SourceRetentionDays",
        ("QuarantineBucket", "any-source"): "UntokenizedRetentionDays",
        ("QuarantineBucket", "rejects"): "RejectRetentionDays",
        ("AccessLogBucket", "logs"): "AccessLogRetentionDays",
    }
    findings = []
    for (bucket, rule_id), parameter in parameters.items():
        rules = template.raw["Resources"][bucket]["Properties"]["LifecycleConfiguration"]["Rules"]
        for rule in rules:
            if rule["Id"] == rule_id and rule["ExpirationInDays"] != {"Ref": parameter}:
                findings.append(f"{bucket} {rule_id}: fixed")
    return findings


def check_published_parts_stay(template: Template) -> list[str]:
    rules = lifecycle_rules(template, "TokenizedBucket")
    return [f"{rule['Id']} takes published parts" for rule in rules if "ExpirationInDays" in rule]
