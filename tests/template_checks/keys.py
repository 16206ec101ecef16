"""KMS keys: who is named in their policies, on what conditions, and what each key encrypts."""

from collections import defaultdict

from tests.policies import (
    KMS_ACTIONS,
    KMS_CRYPTOGRAPHY,
    Statement,
    allows,
    condition_values,
    covers,
    covers_action,
    granted,
    principals,
    statements,
)
from tests.template import ACCOUNT, REGION, UPLOADER_ARN, Template
from tests.template_checks.access import identity_statements

ACCOUNT_ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ADMINISTRATION = {
    *("CancelKeyDeletion", "ScheduleKeyDeletion", "DisableKey", "EnableKey"),
    *("CreateAlias", "DeleteAlias", "UpdateAlias", "UpdateKeyDescription"),
    *("DescribeKey", "GetKeyPolicy", "GetKeyRotationStatus", "PutKeyPolicy"),
    *("DisableKeyRotation", "EnableKeyRotation", "RotateKeyOnDemand"),
    *("ListGrants", "ListKeyPolicies", "ListKeyRotations", "ListResourceTags", "RevokeGrant"),
    *("TagResource", "UntagResource"),
}
READING_AND_WRITING = {"Decrypt", "GenerateDataKey"}
LOG_SERVICE = f"logs.{REGION}.amazonaws.com"
LOGGING = {
    *("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"),
    *("ReEncryptFrom", "ReEncryptTo"),
}
# Beyond administration: key → user → actions.
USERS = {
    "VaultKey": {
        "WorkerRole": {"GenerateDataKey"},
        "TokenizeRole": {"GenerateDataKey"},
        "DetokenizeRole": {"Decrypt"},
        "KeyRotationRole": {"DescribeKey", "ReEncryptFrom", "ReEncryptTo"},
        "ReindexRole": {"Decrypt"},
        "VaultKeeperRole": {"Decrypt"},
    },
    "FingerprintKey": {
        "WorkerRole": {"Decrypt"},
        "TokenizeRole": {"Decrypt"},
        "KeyRotationRole": {
            *("GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo"),
        },
        "ReindexRole": {"Decrypt"},
        "VaultKeeperRole": {"Decrypt"},
        "KeySetupRole": {"GenerateDataKeyWithoutPlaintext"},
    },
    "BulkKey": {
        "DetokenizeRole": {"GenerateDataKeyWithoutPlaintext", "ListGrants"},
        "ApproverRole": {"CreateGrant", "ListGrants", "RevokeGrant"},
    },
    "QuarantineKey": {
        "WorkerRole": READING_AND_WRITING,
        "RepairRole": READING_AND_WRITING,
        "KeeperRole": READING_AND_WRITING,
        UPLOADER_ARN: READING_AND_WRITING,
        ACCOUNT_ROOT: {"GenerateDataKey"},
    },
    "TokenizedKey": {"WorkerRole": READING_AND_WRITING, ACCOUNT_ROOT: {"Decrypt"}},
    "AccessLogKey": {
        "logging.s3.amazonaws.com": READING_AND_WRITING,
        ACCOUNT_ROOT: {"Decrypt"},
    },
    "QueueKey": {"s3.amazonaws.com": READING_AND_WRITING, ACCOUNT_ROOT: READING_AND_WRITING},
    "TablesKey": {ACCOUNT_ROOT: {"CreateGrant", *LOGGING}},
    "LogsKey": {LOG_SERVICE: LOGGING},
}
# Who opens sealed card numbers: for a caller, to fingerprint them anew, to forget them.
OPENERS = ("DetokenizeRole", "ReindexRole", "VaultKeeperRole")
PURPOSES = {"VaultKey": "vault", "FingerprintKey": "fingerprint", "BulkKey": "bulk"}
# What a call's encryption context must name besides its purpose, so that CloudTrail shows it.
CONTEXT = {
    ("VaultKey", "kms:GenerateDataKey"): {"data_key_id", "job_id"},
    ("FingerprintKey", "kms:GenerateDataKeyWithoutPlaintext"): {"data_key_id"},
    ("BulkKey", "kms:GenerateDataKeyWithoutPlaintext"): {"job_id"},
}
SERVICES = {
    "QuarantineKey": "s3",
    "TokenizedKey": "s3",
    "AccessLogKey": "s3",
    "QueueKey": "sqs",
    "TablesKey": "dynamodb",
}


def key_policy(template: Template, key: str) -> list[Statement]:
    return statements(template.properties(key)["KeyPolicy"])


def is_cryptography(statement: Statement) -> bool:
    return any(covers_action(statement, action) for action in KMS_CRYPTOGRAPHY)


def check_key_policies_name_their_users_alone(template: Template) -> list[str]:
    findings = []
    for key in template.of_type("AWS::KMS::Key"):
        expected = {ACCOUNT_ROOT: set(ADMINISTRATION)}
        for user, actions in USERS.get(key, {}).items():
            arn = template.arn(user) if user in template.resources else user
            expected[arn] = expected.get(arn, set()) | actions
        found: dict[str, set[str]] = defaultdict(set)
        for statement in key_policy(template, key):
            for principal in principals(statement):
                actions = granted([statement], KMS_ACTIONS, template.arn(key))
                found[principal] |= {action.removeprefix("kms:") for action in actions}
        findings += [
            f"{key}: {principal} {sorted(found[principal] ^ expected.get(principal, set()))}"
            for principal in found.keys() | expected.keys()
            if found[principal] != expected.get(principal, set())
        ]
    return findings


def check_administrators_touch_no_plaintext(template: Template) -> list[str]:
    return [
        f"{key} {statement.get('Sid')}: the account may use the key itself"
        for key in template.of_type("AWS::KMS::Key")
        for statement in key_policy(template, key)
        if allows(statement)
        and ACCOUNT_ROOT in principals(statement)
        and is_cryptography(statement)
        and (key in PURPOSES or not condition_values(statement, "StringEquals", "kms:ViaService"))
    ]


def check_vault_keys_are_used_in_their_context_alone(template: Template) -> list[str]:
    findings = []
    for key, purpose in PURPOSES.items():
        policies = [(key, key_policy(template, key))]
        for role in template.of_type("AWS::IAM::Role"):
            policies.append((role, identity_statements(template, role)))
        for where, policy in policies:
            for statement in policy:
                actions = granted([statement], KMS_CRYPTOGRAPHY, template.arn(key))
                findings += [
                    f"{where} {statement.get('Sid')} on {key}: {finding}"
                    for action in actions
                    for finding in context_findings(statement, key, action, purpose)
                ]
    return findings


def context_findings(statement: Statement, key: str, action: str, purpose: str) -> list[str]:
    context = "kms:EncryptionContext:"
    findings = []
    if condition_values(statement, "StringEquals", f"{context}purpose") != [purpose]:
        findings.append(f"{action} for any purpose")
    for name in sorted(CONTEXT.get((key, action), ())):
        if condition_values(statement, "Null", f"{context}{name}") != ["false"]:
            findings.append(f"{action} without {name}")
    return findings


def check_an_approval_is_for_one_job_and_for_detokenization_alone(
    template: Template,
) -> list[str]:
    role = template.arn("DetokenizeRole")
    expected = {
        ("StringEquals", "kms:GrantConstraintType"): ["EncryptionContextEquals"],
        ("StringEquals", "kms:GranteePrincipal"): [role],
        ("StringEquals", "kms:RetiringPrincipal"): [role],
        ("ForAllValues:StringEquals", "kms:GrantOperations"): ["Decrypt"],
        ("Null", "kms:GrantOperations"): ["false"],
    }
    policies = {
        "ApproverRole": identity_statements(template, "ApproverRole"),
        "BulkKey": key_policy(template, "BulkKey"),
    }
    return [
        f"{where} {statement.get('Sid')}: {name} {condition_values(statement, operator, name)}"
        for where, policy in policies.items()
        for statement in policy
        if granted([statement], {"kms:CreateGrant"}, template.arn("BulkKey"))
        for (operator, name), values in expected.items()
        if condition_values(statement, operator, name) != values
    ]


def check_storage_keys_are_bound_to_their_service(template: Template) -> list[str]:
    findings = []
    for key, service in SERVICES.items():
        for statement in key_policy(template, key):
            if not allows(statement) or not is_cryptography(statement):
                continue
            via = condition_values(statement, "StringEquals", "kms:ViaService")
            account = condition_values(statement, "StringEquals", "aws:SourceAccount")
            is_service = all(name.endswith(".amazonaws.com") for name in principals(statement))
            if is_service and account != [ACCOUNT]:
                findings.append(f"{key} {statement.get('Sid')}: for any account")
            if not is_service and via != [f"{service}.{REGION}.amazonaws.com"]:
                findings.append(f"{key} {statement.get('Sid')}: via {via}")
    return findings


def check_the_queue_key_serves_the_quarantine_bucket(template: Template) -> list[str]:
    for statement in key_policy(template, "QueueKey"):
        if "s3.amazonaws.com" in principals(statement):
            source = condition_values(statement, "ArnEquals", "aws:SourceArn")
            return [] if source == [template.arn("QuarantineBucket")] else [f"it serves {source}"]
    return ["S3 cannot announce uploads"]


def check_the_logs_key_serves_our_logs(template: Template) -> list[str]:
    groups = {
        template.arn(group).removesuffix(":*") for group in template.of_type("AWS::Logs::LogGroup")
    }
    return [
        f"{statement.get('Sid')}: any log group"
        for statement in key_policy(template, "LogsKey")
        if LOG_SERVICE in principals(statement)
        and groups
        != set(condition_values(statement, "ArnEquals", "kms:EncryptionContext:aws:logs:arn"))
    ]


def check_keys_rotate(template: Template) -> list[str]:
    return [
        f"{key} does not rotate"
        for key, properties in template.of_type("AWS::KMS::Key").items()
        if properties.get("EnableKeyRotation") is not True
    ]


def encrypted_with(template: Template) -> dict[str, str]:
    """Logical id of a resource → ARN of the key that encrypts it."""
    found = {}
    for bucket, properties in template.of_type("AWS::S3::Bucket").items():
        for rule in properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]:
            found[bucket] = rule["ServerSideEncryptionByDefault"].get("KMSMasterKeyID", "")
    for table, properties in template.of_type("AWS::DynamoDB::Table").items():
        found[table] = properties.get("SSESpecification", {}).get("KMSMasterKeyId", "")
    for queue, properties in template.of_type("AWS::SQS::Queue").items():
        found[queue] = properties.get("KmsMasterKeyId", "")
    for group, properties in template.of_type("AWS::Logs::LogGroup").items():
        found[group] = properties.get("KmsKeyId", "")
    return found


def check_every_store_has_the_key_meant_for_it(template: Template) -> list[str]:
    expected = {
        "QuarantineBucket": "QuarantineKey",
        "TokenizedBucket": "TokenizedKey",
        "AccessLogBucket": "AccessLogKey",
    }
    by_type = {"DynamoDB": "TablesKey", "SQS": "QueueKey", "Logs": "LogsKey"}
    findings = []
    for store, found in encrypted_with(template).items():
        service = template.resources[store]["Type"].split("::")[1]
        key = expected.get(store, by_type.get(service, ""))
        if not key or found != template.arn(key):
            findings.append(f"{store} is encrypted with {found or 'no key'}")
    return findings


def check_vault_keys_encrypt_no_storage(template: Template) -> list[str]:
    vault_keys = {template.arn(key) for key in PURPOSES}
    return [
        f"{store} is encrypted with {key}"
        for store, key in encrypted_with(template).items()
        if key in vault_keys
    ]


def check_no_role_may_decrypt_with_the_vault_key_but_those_who_open(
    template: Template,
) -> list[str]:
    """By IAM or by the key's policy, on whatever condition."""
    arn = template.arn("VaultKey")
    by_key = {
        principal
        for statement in key_policy(template, "VaultKey")
        if allows(statement) and covers(statement, "kms:Decrypt", arn)
        for principal in principals(statement)
    }
    by_iam = {
        template.arn(role)
        for role in template.of_type("AWS::IAM::Role")
        if granted(identity_statements(template, role), {"kms:Decrypt"}, arn)
    }
    openers = {template.arn(role) for role in OPENERS}
    return [f"{who} may decrypt" for who in (by_key | by_iam) - openers]
