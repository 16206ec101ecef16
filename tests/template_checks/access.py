"""Who may do what: principals, wildcards, and the matrix of roles and resources."""

from collections.abc import Iterator

from tests.policies import (
    DYNAMODB_ACTIONS,
    KMS_ACTIONS,
    S3_OBJECT_ACTIONS,
    Statement,
    allows,
    as_list,
    condition_values,
    covers,
    covers_action,
    covers_resource,
    denies,
    granted,
    operations,
    principals,
    statements,
)
from tests.template import ACCOUNT, REGION, Template

POLICY_DOCUMENTS = {
    "AWS::IAM::ManagedPolicy": "PolicyDocument",
    "AWS::IAM::Policy": "PolicyDocument",
    "AWS::IAM::Role": "AssumeRolePolicyDocument",
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
}
IDENTITY_POLICY_TYPES = ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::RolePolicy")
INLINE_POLICY_LIMIT_CHARACTERS = 10_240  # IAM quotas: all inline policies of a role, no spaces

# (policy, Sid) → why it cannot be narrower.
UNAVOIDABLE_WILDCARDS = {
    ("WorkerPolicy", "Trace"): "X-Ray offers no resource for the two actions that write traces",
    ("TokenizePolicy", "Trace"): "as above",
    ("DetokenizePolicy", "Trace"): "as above",
    ("NetworkPolicy", "LambdaMakesInterfaces"): "EC2 offers no resource before there is one",
    ("AuditorPolicy", "LookUpEvents"): "CloudTrail offers no resource for looking up events",
}

_DATA_KEYS_ADDED_BY = {
    "WorkerRole": ["dk_*"],
    "TokenizeRole": ["dk_*"],
    "KeySetupRole": ["fingerprint-1"],
    "KeyRotationRole": ["fingerprint-?", "fingerprint-??", "fingerprint-???"],
}
TABLE_ACCESS = {
    ("WorkerRole", "VaultTable"): {"PartiQLInsert"},
    ("WorkerRole", "FingerprintsTable"): {"PartiQLInsert", "BatchGetItem", "GetItem"},
    ("WorkerRole", "DataKeysTable"): {"PartiQLInsert", "GetItem"},
    ("WorkerRole", "JobsTable"): {"ConditionCheckItem", "GetItem", "UpdateItem"},
    ("RepairRole", "JobsTable"): {"GetItem"},
    ("WatchRole", "JobsTable"): {"BatchGetItem"},
    ("KeeperRole", "JobsTable"): {"GetItem", "Scan"},
    ("KeySetupRole", "DataKeysTable"): {"PartiQLInsert"},
    ("DetokenizeRole", "VaultTable"): {"BatchGetItem", "GetItem"},
    ("DetokenizeRole", "DataKeysTable"): {"GetItem"},
    ("DetokenizeRole", "GrantsTable"): {"GetItem"},
    ("DetokenizeRole", "LimitsTable"): {"GetItem", "UpdateItem"},
    ("TokenizeRole", "VaultTable"): {"PartiQLInsert"},
    ("TokenizeRole", "FingerprintsTable"): {"PartiQLInsert", "BatchGetItem", "GetItem"},
    ("TokenizeRole", "DataKeysTable"): {"PartiQLInsert", "GetItem"},
    ("TokenizeRole", "GrantsTable"): {"GetItem"},
    ("TokenizeRole", "LimitsTable"): {"GetItem", "UpdateItem"},
    ("GrantsRole", "GrantsTable"): {"GetItem", "PutItem"},
    ("GrantsRole", "LimitsTable"): {"GetItem", "UpdateItem"},
    ("AuditorRole", "VaultTable"): {"GetItem"},
    ("AuditorRole", "GrantsTable"): {"GetItem"},
    ("KeyRotationRole", "DataKeysTable"): {
        *("GetItem", "PartiQLInsert", "Query", "Scan", "UpdateItem"),
    },
    ("ReindexRole", "VaultTable"): {"Scan"},
    ("ReindexRole", "FingerprintsTable"): {"BatchGetItem", "PartiQLInsert"},
    ("ReindexRole", "DataKeysTable"): {"GetItem", "UpdateItem"},
    ("VaultKeeperRole", "VaultTable"): {"BatchGetItem", "DeleteItem", "Scan"},
    ("VaultKeeperRole", "FingerprintsTable"): {"BatchGetItem", "DeleteItem", "Scan"},
    ("VaultKeeperRole", "DataKeysTable"): {"GetItem", "Scan"},
    ("VaultKeeperRole", "JobsTable"): {"GetItem", "PartiQLInsert"},
    ("VaultAuditRole", "VaultTable"): {"BatchGetItem", "Scan"},
    ("VaultAuditRole", "FingerprintsTable"): {"BatchGetItem", "Scan"},
    ("VaultAuditRole", "DataKeysTable"): {"GetItem", "Scan"},
    ("KeyShredRole", "DataKeysTable"): {"DeleteItem", "GetItem", "Scan", "UpdateItem"},
}
KEY_ACCESS = {
    ("WorkerRole", "VaultKey"): {"GenerateDataKey"},
    ("WorkerRole", "FingerprintKey"): {"Decrypt"},
    ("WorkerRole", "QuarantineKey"): {"Decrypt", "GenerateDataKey"},
    ("WorkerRole", "TokenizedKey"): {"Decrypt", "GenerateDataKey"},
    ("WorkerRole", "QueueKey"): {"Decrypt", "GenerateDataKey"},
    ("WorkerRole", "TablesKey"): {"Decrypt"},
    ("RepairRole", "QuarantineKey"): {"Decrypt", "GenerateDataKey"},
    ("RepairRole", "TokenizedKey"): {"Decrypt"},
    ("RepairRole", "TablesKey"): {"Decrypt"},
    ("WatchRole", "TokenizedKey"): {"Decrypt"},
    ("WatchRole", "TablesKey"): {"Decrypt"},
    ("KeeperRole", "QuarantineKey"): {"Decrypt", "GenerateDataKey"},
    ("KeeperRole", "TokenizedKey"): {"Decrypt"},
    ("KeeperRole", "QueueKey"): {"Decrypt", "GenerateDataKey"},
    ("KeeperRole", "TablesKey"): {"Decrypt"},
    ("KeySetupRole", "FingerprintKey"): {"GenerateDataKeyWithoutPlaintext"},
    ("KeySetupRole", "TablesKey"): {"Decrypt"},
    ("DetokenizeRole", "VaultKey"): {"Decrypt"},
    ("DetokenizeRole", "TablesKey"): {"Decrypt"},
    ("TokenizeRole", "VaultKey"): {"GenerateDataKey"},
    ("TokenizeRole", "FingerprintKey"): {"Decrypt"},
    ("TokenizeRole", "TablesKey"): {"Decrypt"},
    ("GrantsRole", "TablesKey"): {"Decrypt"},
    ("DetokenizeRole", "BulkKey"): {"GenerateDataKeyWithoutPlaintext", "ListGrants"},
    ("ApproverRole", "BulkKey"): {"CreateGrant", "ListGrants", "RevokeGrant"},
    ("AuditorRole", "TablesKey"): {"Decrypt"},
    ("KeyRotationRole", "VaultKey"): {
        *("DescribeKey", "ListKeyRotations", "ReEncryptFrom", "ReEncryptTo", "RotateKeyOnDemand"),
    },
    ("KeyRotationRole", "FingerprintKey"): {
        *("DescribeKey", "ListKeyRotations", "ReEncryptFrom", "ReEncryptTo", "RotateKeyOnDemand"),
        "GenerateDataKeyWithoutPlaintext",
    },
    ("KeyRotationRole", "TablesKey"): {"Decrypt"},
    ("ReindexRole", "VaultKey"): {"Decrypt"},
    ("ReindexRole", "FingerprintKey"): {"Decrypt"},
    ("ReindexRole", "TablesKey"): {"Decrypt"},
    ("VaultKeeperRole", "VaultKey"): {"Decrypt"},
    ("VaultKeeperRole", "FingerprintKey"): {"Decrypt"},
    ("VaultKeeperRole", "TablesKey"): {"Decrypt"},
    ("VaultAuditRole", "TablesKey"): {"Decrypt"},
    ("KeyShredRole", "TablesKey"): {"Decrypt"},
}
ASSUMED_BY_PEOPLE = {
    *("ApproverRole", "AuditorRole", "GrantsRole", "KeeperRole", "KeyRotationRole"),
    *("KeyShredRole", "ReindexRole", "RepairRole", "VaultAuditRole", "VaultKeeperRole"),
}
QUEUE_ACCESS = {
    ("WorkerRole", "WorkQueue"): {
        *("ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage"),
        "SendMessage",
    },
    ("WorkerRole", "DeadLetterQueue"): {"SendMessage"},
    ("KeeperRole", "WorkQueue"): {"GetQueueAttributes", "SendMessage"},
    ("KeeperRole", "DeadLetterQueue"): {
        *("ChangeMessageVisibility", "DeleteMessage", "ReceiveMessage"),
    },
}
# What is denied outlasts whatever somebody attaches later: (role, table) → all that is not denied.
NOT_DENIED = {
    ("WorkerRole", "VaultTable"): {"PartiQLInsert"},
    ("TokenizeRole", "VaultTable"): {"PartiQLInsert"},
    ("DetokenizeRole", "VaultTable"): {"BatchGetItem", "GetItem"},
}
FUNCTION_LOGS = {
    "WorkerRole": {"WorkerLogGroup"},
    "KeySetupRole": {"KeySetupLogGroup"},
    "TokenizeRole": {"TokenizeLogGroup", "AuditLogGroup"},
    "DetokenizeRole": {"DetokenizeLogGroup", "AuditLogGroup"},
    "WatchRole": {"WatchLogGroup"},
}
IN_NETWORK = {"WorkerRole", "TokenizeRole", "DetokenizeRole", "WatchRole"}
LOG_ACTIONS = frozenset(operations("logs"))
# Who may change the key ring, beside what else of the data keys.
KEEPERS_OF_THE_RING = {"KeyRotationRole", "KeyShredRole", "ReindexRole"}
RING_ATTRIBUTES = {"data_key_id", "document", "generation"}
WRAPPED_ATTRIBUTES = {"data_key_id", "key_arn", "rewrapped_at", "wrapped_key"}
LEADING_KEYS = "dynamodb:LeadingKeys"
WRITING = {"AbortMultipartUpload", "PutObject"}
OBJECT_ACCESS = {
    ("WorkerRole", "QuarantineBucket", "incoming/auto/file"): {
        *("GetObject", "GetObjectVersion"),
        *("PutObjectTagging", "PutObjectVersionTagging"),
    },
    ("WorkerRole", "QuarantineBucket", "layouts/acquirer.toml"): {"GetObject", "GetObjectVersion"},
    ("WorkerRole", "QuarantineBucket", "rejects/job/part"): {"GetObject", *WRITING},
    ("KeeperRole", "QuarantineBucket", "layouts/acquirer.toml"): {"GetObject", "PutObject"},
    ("KeeperRole", "TokenizedBucket", "receipts/job.json"): {"GetObject"},
    ("RepairRole", "QuarantineBucket", "rejects/job/part"): {"GetObject"},
    ("RepairRole", "QuarantineBucket", "incoming/auto/file"): {"PutObject"},
    ("RepairRole", "TokenizedBucket", "receipts/job.json"): {"GetObject"},
    ("WatchRole", "TokenizedBucket", "receipts/job.json"): {"GetObject"},
    ("WorkerRole", "TokenizedBucket", "data/layout=auto/part"): {"GetObject", *WRITING},
    ("WorkerRole", "TokenizedBucket", "receipts/job.json"): {"GetObject", *WRITING},
    ("WorkerRole", "QuarantineBucket", "staging/job/part"): {
        *("DeleteObject", "GetObject"),
        *WRITING,
    },
}
OBJECT_KEYS = sorted({key for _, _, key in OBJECT_ACCESS} | {"elsewhere"})


def policies(template: Template) -> Iterator[tuple[str, Statement]]:
    """(logical id, statement) of every policy in the template, trust policies included."""
    for logical_id, resource in template.resources.items():
        properties = resource.get("Properties", {})
        document = properties.get(POLICY_DOCUMENTS.get(resource["Type"], ""), {})
        inline = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        for policy in [document, *inline]:
            yield from ((logical_id, statement) for statement in statements(policy))


def identity_statements(template: Template, role: str) -> list[Statement]:
    """Everything that IAM attaches to the role, wherever the template says so."""
    documents = [
        policy["PolicyDocument"] for policy in template.properties(role).get("Policies", [])
    ]
    for properties in template.of_type(*IDENTITY_POLICY_TYPES).values():
        if role in as_list(properties.get("Roles", properties.get("RoleName"))):
            documents.append(properties["PolicyDocument"])
    return [statement for document in documents for statement in statements(document)]


def difference(whom: str, found: set[str], expected: set[str]) -> list[str]:
    return [f"{whom} may {action}" for action in sorted(found - expected)] + [
        f"{whom} may not {action}" for action in sorted(expected - found)
    ]


def check_nobody_is_everybody(template: Template) -> list[str]:
    return [
        f"{logical_id} {statement.get('Sid')}: Allow for everybody"
        for logical_id, statement in policies(template)
        if allows(statement) and any("*" in str(name) for name in principals(statement))
    ]


def check_wildcards_have_a_reason(template: Template) -> list[str]:
    findings = []
    for logical_id, statement in policies(template):
        if not allows(statement) or (logical_id, statement.get("Sid")) in UNAVOIDABLE_WILDCARDS:
            continue
        where = f"{logical_id} {statement.get('Sid')}"
        if "NotAction" in statement or "NotResource" in statement:
            findings.append(f"{where}: allows whatever it does not name")
        for action in as_list(statement.get("Action")):
            if "*" in action or "?" in action:
                findings.append(f"{where}: action {action}")
        if template.resources[logical_id]["Type"] == "AWS::KMS::Key":
            continue  # "*" in a key policy is the key itself
        for resource in as_list(statement.get("Resource")):
            if not is_narrow(resource):
                findings.append(f"{where}: resource {resource}")
    return findings


def is_narrow(arn: str) -> bool:
    """One wildcard at the end: of an object key with a prefix, or of a log group's streams."""
    head, star, tail = arn.partition("*")
    if not star:
        return "?" not in arn
    bucket, slash, prefix = head.removeprefix("arn:aws:s3:::").partition("/")
    is_object_prefix = head.startswith("arn:aws:s3:::") and bool(bucket and slash and prefix)
    return not tail and (is_object_prefix or (":log-group:/" in head and head.endswith(":")))


def check_roles_are_written_out_here(template: Template) -> list[str]:
    declared = {
        name for name, r in template.raw["Resources"].items() if r["Type"] == "AWS::IAM::Role"
    }
    findings = [f"SAM made {role}" for role in template.of_type("AWS::IAM::Role").keys() - declared]
    for role, properties in template.of_type("AWS::IAM::Role").items():
        if properties.get("ManagedPolicyArns"):
            findings.append(f"{role}: a managed policy, which others change")
    return findings


def check_roles_are_assumed_by_those_meant_alone(template: Template) -> list[str]:
    findings = []
    for role, properties in template.of_type("AWS::IAM::Role").items():
        for statement in statements(properties["AssumeRolePolicyDocument"]):
            if role in ASSUMED_BY_PEOPLE:
                expected = {f"arn:aws:iam::{ACCOUNT}:root"}
                if condition_values(statement, "Bool", "aws:MultiFactorAuthPresent") != ["true"]:
                    findings.append(f"{role}: no second factor")
            else:
                expected = {"lambda.amazonaws.com"}
            if principals(statement) != expected:
                findings.append(f"{role}: assumed by {principals(statement)}")
            if as_list(statement.get("Action")) != ["sts:AssumeRole"]:
                findings.append(f"{role}: {statement.get('Action')}")
    return findings


def check_policies_fit_into_their_roles(template: Template) -> list[str]:
    findings = []
    for role in template.of_type("AWS::IAM::Role"):
        characters = len("".join(str(identity_statements(template, role)).split()))
        if characters > INLINE_POLICY_LIMIT_CHARACTERS:
            findings.append(f"{role}: {characters} characters of policy")
    return findings


def check_tables_are_used_as_the_matrix_says(template: Template) -> list[str]:
    findings = []
    for role in template.of_type("AWS::IAM::Role"):
        policy = identity_statements(template, role)
        for table in template.of_type("AWS::DynamoDB::Table"):
            found = granted(policy, DYNAMODB_ACTIONS, template.arn(table))
            found |= granted(policy, DYNAMODB_ACTIONS, f"{template.arn(table)}/index/any")
            expected = {f"dynamodb:{name}" for name in TABLE_ACCESS.get((role, table), ())}
            findings += difference(f"{role} on {table}", found, expected)
    return findings


def check_queues_are_used_as_the_matrix_says(template: Template) -> list[str]:
    findings = []
    actions = operations("sqs")
    for role in template.of_type("AWS::IAM::Role"):
        policy = identity_statements(template, role)
        for queue in template.of_type("AWS::SQS::Queue"):
            found = granted(policy, actions, template.arn(queue))
            expected = {f"sqs:{name}" for name in QUEUE_ACCESS.get((role, queue), ())}
            findings += difference(f"{role} on {queue}", found, expected)
    return findings


def check_functions_are_denied_what_they_never_do_to_the_vault(template: Template) -> list[str]:
    findings = []
    for (role, table), allowed in NOT_DENIED.items():
        policy, arn = identity_statements(template, role), template.arn(table)
        undenied = {
            action
            for action in DYNAMODB_ACTIONS
            for each in (arn, f"{arn}/index/any", f"{arn}/stream/any")
            if not denies(policy, action, each)
        }
        expected = {f"dynamodb:{name}" for name in allowed}
        findings += difference(f"{role} on {table}, if allowed,", undenied, expected)
    return findings


def check_tokenization_is_denied_all_but_making_vault_data_keys(template: Template) -> list[str]:
    policy, arn = identity_statements(template, "TokenizeRole"), template.arn("VaultKey")
    undenied = {action for action in KMS_ACTIONS if not denies(policy, action, arn)}
    return difference("TokenizeRole on VaultKey, if allowed,", undenied, {"kms:GenerateDataKey"})


def check_what_is_recorded_stays_as_it_is(template: Template) -> list[str]:
    """The audit log: two functions add to it, one person reads it, nobody else and nothing else."""
    arn = template.arn("AuditLogGroup")
    adding = {"logs:CreateLogStream", "logs:PutLogEvents"}
    findings = []
    for role in template.of_type("AWS::IAM::Role"):
        policy = identity_statements(template, role)
        is_recorder = role in ("TokenizeRole", "DetokenizeRole")
        expected = adding if is_recorder else set()
        expected = {"logs:FilterLogEvents"} if role == "AuditorRole" else expected
        findings += difference(f"{role} on the record", granted(policy, LOG_ACTIONS, arn), expected)
        if is_recorder:
            undenied = {action for action in LOG_ACTIONS if not denies(policy, action, arn)}
            findings += difference(f"{role} on the record, if allowed,", undenied, adding)
    return findings


def check_whoever_approves_never_asks(template: Template) -> list[str]:
    policy = identity_statements(template, "ApproverRole")
    call = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:api/v1/POST/bulk-jobs"
    findings = [] if denies(policy, "execute-api:Invoke", call) else ["the approver may ask"]
    if granted(policy, DYNAMODB_ACTIONS, template.arn("VaultTable")):
        findings.append("the approver reads the vault")
    return findings


def check_the_auditor_reads_no_ciphertext(template: Template) -> list[str]:
    findings = []
    for statement in identity_statements(template, "AuditorRole"):
        if not granted([statement], DYNAMODB_ACTIONS, template.arn("VaultTable")):
            continue
        attributes = "dynamodb:Attributes"
        named = condition_values(statement, "ForAllValues:StringEquals", attributes)
        if not named or "ciphertext" in named or "*" in str(named):
            findings.append(f"the auditor reads {named}")
        if condition_values(statement, "Null", attributes) != ["false"]:
            findings.append("a request without attributes meets ForAllValues")
        if condition_values(statement, "StringEqualsIfExists", "dynamodb:Select") != [
            "SPECIFIC_ATTRIBUTES"
        ]:
            findings.append("a request may select all attributes")
    return findings


def check_whoever_adds_to_the_vault_reads_no_wrapped_vault_keys(template: Template) -> list[str]:
    return [
        f"{role}: {finding}"
        for role in ("WorkerRole", "TokenizeRole")
        for finding in _wrapped_vault_keys_read(template, role)
    ]


def _wrapped_vault_keys_read(template: Template, role: str) -> list[str]:
    findings = []
    for statement in identity_statements(template, role):
        reads = covers_action(statement, "dynamodb:GetItem")
        if not allows(statement) or not reads:
            continue
        if not covers_resource(statement, template.arn("DataKeysTable")):
            continue
        leading = "dynamodb:LeadingKeys"
        if condition_values(statement, "ForAllValues:StringLike", leading) != ["fingerprint-*"]:
            findings.append("any data key")
        if condition_values(statement, "Null", leading) != ["false"]:
            findings.append("a request without leading keys meets ForAllValues")
    return findings


def check_whoever_adds_data_keys_adds_those_of_its_own_kind(template: Template) -> list[str]:
    findings = []
    for role, kinds in _DATA_KEYS_ADDED_BY.items():
        for statement in identity_statements(template, role):
            adds = covers(statement, "dynamodb:PartiQLInsert", template.arn("DataKeysTable"))
            if not allows(statement) or not adds:
                continue
            if condition_values(statement, "ForAllValues:StringLike", LEADING_KEYS) != kinds:
                findings.append(f"{role}: any data key")
            if condition_values(statement, "Null", LEADING_KEYS) != ["false"]:
                findings.append(f"{role}: a request without leading keys meets ForAllValues")
    return findings


def check_rotation_changes_wrapped_keys_alone(template: Template) -> list[str]:
    findings = []
    for statement in identity_statements(template, "KeyRotationRole"):
        if not updates_data_keys(template, statement) or is_about_the_ring(statement):
            continue
        attributes = "dynamodb:Attributes"
        named = condition_values(statement, "ForAllValues:StringEquals", attributes)
        if set(named) != WRAPPED_ATTRIBUTES:
            findings.append(f"rotation may change {named}")
        if condition_values(statement, "Null", attributes) != ["false"]:
            findings.append("an update without attributes meets ForAllValues")
        returned = condition_values(statement, "StringEqualsIfExists", "dynamodb:ReturnValues")
        if not returned or "ALL_OLD" in returned or "ALL_NEW" in returned:
            findings.append("an update may return the whole item")
    return findings


def updates_data_keys(template: Template, statement: Statement) -> bool:
    return allows(statement) and covers(
        statement, "dynamodb:UpdateItem", template.arn("DataKeysTable")
    )


def is_about_the_ring(statement: Statement) -> bool:
    leading = condition_values(statement, "ForAllValues:StringEquals", LEADING_KEYS)
    return leading == ["fingerprint-ring"]


def check_the_key_ring_is_changed_by_its_keepers_alone(template: Template) -> list[str]:
    """And by them nothing else in its table, but for rotation, which replaces wrapped keys."""
    findings = []
    for role in template.of_type("AWS::IAM::Role"):
        policy = identity_statements(template, role)
        updates = [each for each in policy if updates_data_keys(template, each)]
        about_the_ring = [each for each in updates if is_about_the_ring(each)]
        if bool(about_the_ring) != (role in KEEPERS_OF_THE_RING):
            findings.append(f"{role}: {len(about_the_ring)} statements about the key ring")
        if len(updates) > len(about_the_ring) and role != "KeyRotationRole":
            findings.append(f"{role} may change data keys")
        for statement in about_the_ring:
            attributes = "dynamodb:Attributes"
            named = condition_values(statement, "ForAllValues:StringEquals", attributes)
            if set(named) != RING_ATTRIBUTES:
                findings.append(f"{role} may change {named}")
            for key in (attributes, LEADING_KEYS):
                if condition_values(statement, "Null", key) != ["false"]:
                    findings.append(f"{role}: an update without {key} meets ForAllValues")
    return findings


def check_data_keys_are_destroyed_and_the_key_ring_is_not(template: Template) -> list[str]:
    findings = []
    destroying = [
        each
        for each in identity_statements(template, "KeyShredRole")
        if covers(each, "dynamodb:DeleteItem", template.arn("DataKeysTable"))
    ]
    for statement in filter(allows, destroying):
        leading = condition_values(statement, "ForAllValues:StringLike", LEADING_KEYS)
        if set(leading) != {"dk_*", "fingerprint-*"}:
            findings.append(f"any of {leading}")
        if condition_values(statement, "Null", LEADING_KEYS) != ["false"]:
            findings.append("a request without leading keys meets ForAllValues")
        if condition_values(statement, "StringEqualsIfExists", "dynamodb:ReturnValues") != ["NONE"]:
            findings.append("a deletion may return the wrapped key")
    spared = [
        condition_values(each, "ForAnyValue:StringEquals", LEADING_KEYS)
        for each in destroying
        if not allows(each)
    ]
    return findings if ["fingerprint-ring"] in spared else [*findings, "the key ring too"]


def check_the_trail_is_all_that_keepers_write_in_the_ledger(template: Template) -> list[str]:
    findings = []
    for statement in identity_statements(template, "VaultKeeperRole"):
        if not allows(statement) or not covers_resource(statement, template.arn("JobsTable")):
            continue
        leading = condition_values(statement, "ForAllValues:StringLike", LEADING_KEYS)
        if leading != ["forgotten/*"]:
            findings.append(f"any of {leading}")
        if condition_values(statement, "Null", LEADING_KEYS) != ["false"]:
            findings.append("a request without leading keys meets ForAllValues")
    return findings


def check_who_sees_sealed_rows_or_wrapped_keys_by_trade_opens_none(
    template: Template,
) -> list[str]:
    """Whatever somebody attaches to these roles later."""
    return [
        f"{role} is not denied {action} on {key}"
        for role in ("KeyShredRole", "VaultAuditRole")
        for key in ("FingerprintKey", "VaultKey")
        for action in ("kms:CreateGrant", "kms:Decrypt", "kms:ReEncryptFrom")
        if not denies(identity_statements(template, role), action, template.arn(key))
    ]


def check_re_indexing_changes_no_row(template: Template) -> list[str]:
    """Whatever somebody attaches to the role later."""
    policy = identity_statements(template, "ReindexRole")
    vault = template.arn("VaultTable")
    undenied = {
        action
        for action in DYNAMODB_ACTIONS
        for arn in (vault, f"{vault}/index/any", f"{vault}/stream/any")
        if not denies(policy, action, arn)
    }
    return difference("ReindexRole on VaultTable, if allowed,", undenied, {"dynamodb:Scan"})


def check_keys_are_used_as_the_matrix_says(template: Template) -> list[str]:
    findings = []
    for role in template.of_type("AWS::IAM::Role"):
        policy = identity_statements(template, role)
        for key in template.of_type("AWS::KMS::Key"):
            found = granted(policy, KMS_ACTIONS, template.arn(key))
            expected = {f"kms:{name}" for name in KEY_ACCESS.get((role, key), ())}
            findings += difference(f"{role} on {key}, by IAM,", found, expected)
    return findings


def check_storage_keys_are_used_through_their_service_alone(template: Template) -> list[str]:
    services = {"Quarantine": "s3", "Tokenized": "s3", "Queue": "sqs", "Tables": "dynamodb"}
    findings = []
    for role in template.of_type("AWS::IAM::Role"):
        for statement in identity_statements(template, role):
            for key, service in services.items():
                if not allows(statement) or not covers_action(statement, "kms:Decrypt"):
                    continue
                if not covers_resource(statement, template.arn(f"{key}Key")):
                    continue
                via = condition_values(statement, "StringEquals", "kms:ViaService")
                if via != [f"{service}.{REGION}.amazonaws.com"]:
                    findings.append(f"{role} {statement.get('Sid')}: {key}Key via {via}")
    return findings


def check_objects_are_used_as_the_matrix_says(template: Template) -> list[str]:
    findings = []
    for role in template.of_type("AWS::IAM::Role"):
        policy = identity_statements(template, role)
        for bucket in template.of_type("AWS::S3::Bucket"):
            for key in OBJECT_KEYS:
                found = granted(policy, S3_OBJECT_ACTIONS, f"{template.arn(bucket)}/{key}")
                expected = {f"s3:{name}" for name in OBJECT_ACCESS.get((role, bucket, key), ())}
                findings += difference(f"{role} on {bucket}/{key}", found, expected)
    return findings


def check_buckets_are_listed_below_known_prefixes(template: Template) -> list[str]:
    findings = []
    for role in template.of_type("AWS::IAM::Role"):
        for statement in identity_statements(template, role):
            if not allows(statement) or not covers_action(statement, "s3:ListBucket"):
                continue
            prefixes = condition_values(statement, "StringLikeIfExists", "s3:prefix")
            if not prefixes or "*" in prefixes:
                findings.append(f"{role} {statement.get('Sid')}: lists a whole bucket")
    return findings


def check_only_lambda_itself_makes_network_interfaces(template: Template) -> list[str]:
    """With the functions' roles, but never from the functions' code."""
    findings = []
    for role in template.of_type("AWS::IAM::Role"):
        policy = identity_statements(template, role)
        makes = granted(policy, {"ec2:CreateNetworkInterface"}, "*")
        if bool(makes) != (role in IN_NETWORK):
            findings.append(f"{role}: {sorted(makes)}")
        is_kept_from_code = any(
            not allows(statement)
            and covers(statement, "ec2:AnyActionAtAll", "*")
            and statement.get("Condition") == {"Null": {"lambda:SourceFunctionArn": "false"}}
            for statement in policy
        )
        if makes and not is_kept_from_code:
            findings.append(f"the code of {role} may make interfaces")
    return findings


def check_the_watch_alone_lists_versions_and_of_uploads_alone(template: Template) -> list[str]:
    findings = []
    for role in template.of_type("AWS::IAM::Role"):
        for statement in identity_statements(template, role):
            if not allows(statement) or not covers_action(statement, "s3:ListBucketVersions"):
                continue
            if role != "WatchRole" or not covers_resource(
                statement, template.arn("QuarantineBucket")
            ):
                findings.append(f"{role} {statement.get('Sid')}: lists versions")
            if condition_values(statement, "StringEquals", "s3:prefix") != ["incoming/"]:
                findings.append(f"{role} {statement.get('Sid')}: lists a whole bucket")
    return findings


def check_functions_write_their_own_log_alone(template: Template) -> list[str]:
    findings = []
    for role in template.of_type("AWS::IAM::Role"):
        own = {template.arn(group) for group in FUNCTION_LOGS.get(role, ())}
        for statement in identity_statements(template, role):
            if not allows(statement) or not covers_action(statement, "logs:PutLogEvents"):
                continue
            if not set(as_list(statement.get("Resource"))) <= own:
                findings.append(f"{role} {statement.get('Sid')}: {statement.get('Resource')}")
    return findings
