"""Ways to break the template, each in one place, by the check that must notice."""

from collections.abc import Callable
from typing import Any

from tests.policies import Statement, statements
from tests.template_checks import (
    Check,
    access,
    api,
    buckets,
    functions,
    keys,
    queues,
    stack,
    tables,
)

RawTemplate = dict[str, Any]
Breakage = Callable[[RawTemplate], None]

REMOVED = object()
VAULT_KEY = {"Fn::GetAtt": ["VaultKey", "Arn"]}
VAULT_TABLE = {"Fn::GetAtt": ["VaultTable", "Arn"]}
DATA_KEYS_TABLE = {"Fn::GetAtt": ["DataKeysTable", "Arn"]}
AUDIT_LOG = {"Fn::GetAtt": ["AuditLogGroup", "Arn"]}
BULK_KEY = {"Fn::GetAtt": ["BulkKey", "Arn"]}
DEAD_LETTER_QUEUE = {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
QUARANTINE_OBJECTS = {"Fn::Sub": "${QuarantineBucket.Arn}/*"}
LAYOUT_OBJECTS = {"Fn::Sub": "${QuarantineBucket.Arn}/layouts/*"}
TOKENIZED_DATA = {"Fn::Sub": "${TokenizedBucket.Arn}/data/*"}
LEADING_KEYS = "dynamodb:LeadingKeys"
ACCOUNT_ROOT = {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
WARM_FINGERPRINTS = "FingerprintsTable.WarmThroughput.Fn::If.1.Fn::If.1"
WORKER = {"AWS": {"Fn::GetAtt": ["WorkerRole", "Arn"]}}


def set_in(node: Any, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        node = node[int(name)] if isinstance(node, list) else node[name]
    if value is REMOVED:
        del node[last]
    else:
        node[int(last) if isinstance(node, list) else last] = value


def attribute(path: str, value: Any) -> Breakage:
    """`Logical.Attribute`, such as DeletionPolicy."""
    return lambda template: set_in(template["Resources"], path, value)


def prop(path: str, value: Any) -> Breakage:
    """`Logical.Property.Property`."""
    logical_id, _, rest = path.partition(".")
    return lambda template: set_in(template["Resources"][logical_id]["Properties"], rest, value)


def parameter(path: str, value: Any) -> Breakage:
    return lambda template: set_in(template["Parameters"], path, value)


def document(template: RawTemplate, policy: str) -> dict[str, Any]:
    properties = template["Resources"][policy]["Properties"]
    for name in ("PolicyDocument", "KeyPolicy", "AssumeRolePolicyDocument"):
        if name in properties:
            found: dict[str, Any] = properties[name]
            return found
    raise KeyError(policy)


def find(template: RawTemplate, policy: str, sid: str) -> Statement:
    for statement in statements(document(template, policy)):
        candidate = statement["Fn::If"][1] if "Fn::If" in statement else statement
        if candidate.get("Sid", "") == sid:
            found: Statement = candidate
            return found
    raise KeyError(sid)


def edit(policy: str, sid: str, **changes: Any) -> Breakage:
    """Replaces elements of one statement."""

    def apply(template: RawTemplate) -> None:
        statement = find(template, policy, sid)
        statement.update(changes)
        for name in [name for name, value in changes.items() if value is REMOVED]:
            del statement[name]

    return apply


def condition(policy: str, sid: str, operator: str, key: str, value: Any) -> Breakage:
    """Replaces one value of one statement's condition."""

    def apply(template: RawTemplate) -> None:
        values = find(template, policy, sid)["Condition"][operator]
        values[key] = value
        if value is REMOVED:
            del values[key]

    return apply


def add(policy: str, **statement: Any) -> Breakage:
    return lambda template: statements(document(template, policy)).append(
        {"Sid": "Added", "Effect": "Allow", **statement}
    )


def remove(policy: str, sid: str) -> Breakage:
    def apply(template: RawTemplate) -> None:
        statements(document(template, policy)).remove(find(template, policy, sid))

    return apply


def attach(role: str, **statement: Any) -> Breakage:
    """A second policy for the role, as somebody might add one later."""

    def apply(template: RawTemplate) -> None:
        template["Resources"]["Attached"] = {
            "Type": "AWS::IAM::Policy",
            "Properties": {
                "PolicyName": "attached",
                "Roles": [{"Ref": role}],
                "PolicyDocument": {"Statement": [{"Effect": "Allow", **statement}]},
            },
        }

    return apply


def inline(role: str, **statement: Any) -> Breakage:
    return prop(
        f"{role}.Policies",
        [{"PolicyName": "x", "PolicyDocument": {"Statement": {"Effect": "Allow", **statement}}}],
    )


def without_role(template: RawTemplate) -> None:
    del template["Resources"]["KeySetupFunction"]["Properties"]["Role"]


def bulky(template: RawTemplate) -> None:
    for number in range(60):
        add(
            "WorkerPolicy",
            Action="sqs:SendMessage",
            Resource=[{"Fn::GetAtt": ["WorkQueue", "Arn"]}] * 4,
            Note=str(number),
        )(template)


def rename_quarantine(template: RawTemplate) -> None:
    template["Resources"]["QuarantineBucket"]["Properties"]["BucketName"] = "another"


ANYBODY = [
    ("a bucket policy allows *", add("QuarantineBucketPolicy", Principal="*")),
    ("a bucket policy allows AWS *", add("TokenizedBucketPolicy", Principal={"AWS": "*"})),
    ("a queue policy allows a list with *", add("WorkQueuePolicy", Principal={"AWS": ["x", "*"]})),
    (
        "a key policy allows every account",
        add("VaultKey", Principal={"AWS": "arn:aws:iam::*:root"}),
    ),
    ("a key policy allows services *", add("LogsKey", Principal={"Service": "*"})),
    ("a trust policy allows *", edit("WorkerRole", "", Principal={"AWS": "*"})),
    ("a policy allows whom it does not name", add("TablesKey", NotPrincipal={"AWS": "x"})),
]
WILDCARDS = [
    ("every action", edit("WorkerPolicy", "TakeWork", Action="*")),
    ("every action of a service", edit("WorkerPolicy", "TakeWork", Action=["sqs:*"])),
    ("some actions", edit("KeyRotationPolicy", "RewrapVaultDataKeys", Action="kms:ReEncrypt*")),
    ("actions not named", edit("WorkerPolicy", "TakeWork", Action=REMOVED, NotAction="sqs:Send")),
    ("every resource", edit("WorkerPolicy", "AddToTables", Resource="*")),
    ("resources not named", edit("DetokenizePolicy", "ReadTheVault", NotResource="x")),
    ("a whole bucket", edit("WorkerPolicy", "WriteRejects", Resource=QUARANTINE_OBJECTS)),
    ("buckets of a kind", edit("WorkerPolicy", "WriteRejects", Resource="arn:aws:s3:::*/x/*")),
    (
        "tables of a kind",
        edit("WorkerPolicy", "KeepTheLedger", Resource="arn:aws:dynamodb:*:*:table/pantok-*"),
    ),
    ("any action in a key policy", edit("VaultKey", "TheWorkerMakesDataKeys", Action="kms:*")),
    (
        "any action on a queue",
        edit("WorkQueuePolicy", "TheQuarantineBucketNotifies", Action="sqs:*"),
    ),
]
VAULT_DECRYPT = [
    ("IAM names it", attach("WorkerRole", Action="kms:Decrypt", Resource=VAULT_KEY)),
    ("IAM allows Dec*", attach("WorkerRole", Action=["kms:Dec*"], Resource="*")),
    ("IAM allows kms:*", inline("WorkerRole", Action="KMS:*", Resource="arn:aws:kms:*:*:key/*")),
    ("IAM allows all but", attach("WorkerRole", NotAction="s3:*", Resource=[VAULT_KEY])),
    (
        "IAM allows it on all keys but one",
        attach("WorkerRole", Action="kms:Decrypt", NotResource="arn:aws:kms:x"),
    ),
    (
        "the key's policy names it",
        add("VaultKey", Principal=WORKER, Action="kms:Decrypt", Resource="*"),
    ),
    (
        "the key's policy widens the worker's statement",
        edit("VaultKey", "TheWorkerMakesDataKeys", Action=["kms:GenerateDataKey", "kms:Decrypt"]),
    ),
    (
        "the key's policy leaves it to IAM",
        add("VaultKey", Principal=ACCOUNT_ROOT, Action="kms:*", Resource="*"),
    ),
    (
        "the key's policy adds a principal to detokenization",
        edit(
            "VaultKey",
            "DetokenizationUnwrapsDataKeys",
            Principal={"AWS": [WORKER["AWS"], {"Fn::GetAtt": ["DetokenizeRole", "Arn"]}]},
        ),
    ),
]
VAULT_TABLE_USE = [
    (
        f"the worker may {action}",
        attach("WorkerRole", Action=f"dynamodb:{action}", Resource=VAULT_TABLE),
    )
    for action in (
        *("GetItem", "BatchGetItem", "Query", "Scan", "PartiQLSelect", "PartiQLUpdate"),
        *("PartiQLDelete", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "DeleteTable"),
        *("*", "Get*", "PartiQL*"),
    )
]
VAULT_CARE = ("VaultAuditRole", "VaultKeeperRole")
RING_KEEPERS = ("KeyRotationPolicy", "KeyShredPolicy", "ReindexPolicy")
UNENCRYPTED = {"SSEAlgorithm": "AES256"}
ENCRYPTION = "BucketEncryption.ServerSideEncryptionConfiguration.0"
SCALING = "WorkerFunction.Events.Work.Properties"
LIFECYCLE = "QuarantineBucket.LifecycleConfiguration.Rules"

MUTANTS: dict[Check, list[tuple[str, Breakage]]] = {
    access.check_nobody_is_everybody: ANYBODY,
    access.check_wildcards_have_a_reason: WILDCARDS,
    access.check_roles_are_written_out_here: [
        ("SAM writes a role", without_role),
        ("a managed policy", prop("WorkerRole.ManagedPolicyArns", ["arn:aws:iam::aws:policy/x"])),
    ],
    access.check_roles_are_assumed_by_those_meant_alone: [
        ("the account assumes the worker", edit("WorkerRole", "", Principal=ACCOUNT_ROOT)),
        ("repair without a second factor", edit("RepairRole", "", Condition=REMOVED)),
        ("a keeper without a second factor", edit("KeeperRole", "", Condition=REMOVED)),
        ("approval without a second factor", edit("ApproverRole", "", Condition=REMOVED)),
        ("grants without a second factor", edit("GrantsRole", "", Condition=REMOVED)),
        ("an audit without a second factor", edit("AuditorRole", "", Condition=REMOVED)),
        *(
            (f"{role} without a second factor", edit(role, "", Condition=REMOVED))
            for role in ("KeyRotationRole", "KeyShredRole", "ReindexRole", *VAULT_CARE)
        ),
        ("another service detokenizes", edit("DetokenizeRole", "", Principal={"Service": "ec2"})),
        (
            "sessions carry tags",
            edit("WorkerRole", "", Action=["sts:AssumeRole", "sts:TagSession"]),
        ),
    ],
    access.check_policies_fit_into_their_roles: [("sixty statements more", bulky)],
    access.check_tables_are_used_as_the_matrix_says: [
        *VAULT_TABLE_USE,
        ("the worker cannot add to the vault", edit("WorkerPolicy", "AddToTables", Resource="x")),
        (
            "the worker overwrites fingerprints",
            edit("WorkerPolicy", "LookUpFingerprints", Action="dynamodb:PutItem"),
        ),
        (
            "detokenization deletes",
            edit("DetokenizePolicy", "ReadTheVault", Action=["dynamodb:DeleteItem"]),
        ),
        (
            "tokenization reads the vault",
            attach("TokenizeRole", Action="dynamodb:GetItem", Resource=VAULT_TABLE),
        ),
        (
            "detokenization adds to the vault",
            edit(
                "DetokenizePolicy",
                "ReadTheVault",
                Action=["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PartiQLInsert"],
            ),
        ),
        (
            "detokenization grants",
            edit("DetokenizePolicy", "ReadGrants", Action=["dynamodb:GetItem", "dynamodb:PutItem"]),
        ),
        (
            "tokenization forgets what callers had",
            edit(
                "TokenizePolicy",
                "CountWhatCallersHad",
                Action=["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:UpdateItem"],
            ),
        ),
        (
            "whoever keeps the grants reads the vault",
            attach("GrantsRole", Action="dynamodb:GetItem", Resource=VAULT_TABLE),
        ),
        (
            "rotation reads the vault",
            edit("KeyRotationPolicy", "ReadDataKeys", Resource=[VAULT_TABLE, DATA_KEYS_TABLE]),
        ),
        (
            "the auditor destroys",
            edit("VaultAuditPolicy", "ReadRowsAndFingerprints", Action="dynamodb:DeleteItem"),
        ),
        (
            "the keeper writes rows",
            edit("VaultKeeperPolicy", "ReadAndDestroyRows", Action="dynamodb:PutItem"),
        ),
        (
            "the keeper destroys data keys",
            edit("VaultKeeperPolicy", "ReadDataKeys", Action="dynamodb:DeleteItem"),
        ),
        (
            "re-indexing destroys fingerprints",
            edit("ReindexPolicy", "ClaimFingerprints", Action="dynamodb:DeleteItem"),
        ),
        (
            "re-indexing makes data keys",
            edit("ReindexPolicy", "ReadDataKeys", Action="dynamodb:PartiQLInsert"),
        ),
        (
            "shredding reads the vault",
            edit("KeyShredPolicy", "ReadDataKeys", Resource=[VAULT_TABLE, DATA_KEYS_TABLE]),
        ),
        (
            "the keeper of letters writes the ledger",
            edit("KeeperPolicy", "ReadTheLedger", Action=["dynamodb:GetItem", "dynamodb:PutItem"]),
        ),
        (
            "the keeper of letters reads the vault",
            attach("KeeperRole", Action="dynamodb:GetItem", Resource=VAULT_TABLE),
        ),
    ],
    access.check_queues_are_used_as_the_matrix_says: [
        ("the keeper takes work", edit("KeeperPolicy", "ReplayThem", Action="sqs:ReceiveMessage")),
        (
            "the keeper purges",
            edit("KeeperPolicy", "TakeDeadLetters", Action=["sqs:PurgeQueue"]),
        ),
        ("the keeper cannot replay", remove("KeeperPolicy", "ReplayThem")),
        (
            "the auditor reads letters",
            attach("AuditorRole", Action="sqs:Receive*", Resource=DEAD_LETTER_QUEUE),
        ),
    ],
    access.check_functions_are_denied_what_they_never_do_to_the_vault: [
        ("no denial", remove("WorkerPolicy", "NeverOpenTheVault")),
        ("no denial for tokenization", remove("TokenizePolicy", "NeverOpenTheVault")),
        ("no denial for detokenization", remove("DetokenizePolicy", "NeverChangeTheVault")),
        (
            "detokenization may add",
            edit(
                "DetokenizePolicy",
                "NeverChangeTheVault",
                NotAction=["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem"],
            ),
        ),
        (
            "a conditional denial",
            edit("WorkerPolicy", "NeverOpenTheVault", Condition={"Bool": {"x": "true"}}),
        ),
        ("indexes are open", edit("WorkerPolicy", "NeverOpenTheVault", Resource=VAULT_TABLE)),
        (
            "reading is spared",
            edit(
                "WorkerPolicy",
                "NeverOpenTheVault",
                NotAction=["dynamodb:*Get*", "dynamodb:PartiQLInsert"],
            ),
        ),
        ("adding is denied too", edit("WorkerPolicy", "NeverOpenTheVault", NotAction="s3:x")),
    ],
    access.check_tokenization_is_denied_all_but_making_vault_data_keys: [
        ("no denial", remove("TokenizePolicy", "NeverUnwrapVaultDataKeys")),
        (
            "decrypting is spared",
            edit(
                "TokenizePolicy",
                "NeverUnwrapVaultDataKeys",
                NotAction=["kms:GenerateDataKey", "kms:Decrypt"],
            ),
        ),
        (
            "on a condition",
            edit("TokenizePolicy", "NeverUnwrapVaultDataKeys", Condition={"Bool": {"x": "true"}}),
        ),
    ],
    access.check_what_is_recorded_stays_as_it_is: [
        ("no denial", remove("DetokenizePolicy", "NeverTouchWhatIsRecorded")),
        (
            "a function may shorten it",
            edit(
                "TokenizePolicy",
                "NeverTouchWhatIsRecorded",
                NotAction=["logs:CreateLogStream", "logs:Put*"],
            ),
        ),
        ("detokenization cannot record", remove("DetokenizePolicy", "RecordAccess")),
        (
            "the auditor deletes",
            edit("AuditorPolicy", "ReadTheRecord", Action=["logs:DeleteLogGroup"]),
        ),
        (
            "whoever keeps the grants reads it",
            attach("GrantsRole", Action="logs:Filter*", Resource=AUDIT_LOG),
        ),
    ],
    access.check_whoever_approves_never_asks: [
        ("they may", remove("ApproverPolicy", "NeverCallTheApi")),
        (
            "they read the vault",
            attach("ApproverRole", Action="dynamodb:GetItem", Resource=VAULT_TABLE),
        ),
    ],
    access.check_the_auditor_reads_no_ciphertext: [
        ("whole rows", edit("AuditorPolicy", "ReadWhatIsKnownOfTokens", Condition=REMOVED)),
        (
            "the ciphertext too",
            condition(
                "AuditorPolicy",
                "ReadWhatIsKnownOfTokens",
                "ForAllValues:StringEquals",
                "dynamodb:Attributes",
                ["token", "ciphertext"],
            ),
        ),
        (
            "requests that name no attributes",
            condition(
                "AuditorPolicy", "ReadWhatIsKnownOfTokens", "Null", "dynamodb:Attributes", REMOVED
            ),
        ),
        (
            "all attributes",
            condition(
                "AuditorPolicy",
                "ReadWhatIsKnownOfTokens",
                "StringEqualsIfExists",
                "dynamodb:Select",
                REMOVED,
            ),
        ),
        (
            "another statement",
            attach("AuditorRole", Action="dynamodb:GetItem", Resource=VAULT_TABLE),
        ),
    ],
    access.check_whoever_adds_to_the_vault_reads_no_wrapped_vault_keys: [
        (
            "any data key for tokenization",
            edit("TokenizePolicy", "ReadTheFingerprintDataKey", Condition=REMOVED),
        ),
        ("any data key", edit("WorkerPolicy", "ReadTheFingerprintDataKey", Condition=REMOVED)),
        (
            "a wide prefix",
            condition(
                "WorkerPolicy",
                "ReadTheFingerprintDataKey",
                "ForAllValues:StringLike",
                "dynamodb:LeadingKeys",
                "*",
            ),
        ),
        (
            "requests without keys",
            condition(
                "WorkerPolicy", "ReadTheFingerprintDataKey", "Null", "dynamodb:LeadingKeys", REMOVED
            ),
        ),
        (
            "another statement",
            attach("WorkerRole", Action="dynamodb:GetItem", Resource=DATA_KEYS_TABLE),
        ),
    ],
    access.check_whoever_adds_data_keys_adds_those_of_its_own_kind: [
        ("any key", edit("WorkerPolicy", "AddVaultDataKeys", Condition=REMOVED)),
        ("any key for tokenization", edit("TokenizePolicy", "AddVaultDataKeys", Condition=REMOVED)),
        (
            "any key at set-up",
            edit("KeySetupPolicy", "AddTheFingerprintDataKey", Condition=REMOVED),
        ),
        (
            "any key at rotation",
            edit("KeyRotationPolicy", "AddFingerprintDataKeys", Condition=REMOVED),
        ),
        (
            "a wide prefix",
            condition(
                "TokenizePolicy", "AddVaultDataKeys", "ForAllValues:StringLike", LEADING_KEYS, "*"
            ),
        ),
        (
            "requests without keys",
            condition("WorkerPolicy", "AddVaultDataKeys", "Null", LEADING_KEYS, REMOVED),
        ),
        (
            "the second fingerprint key at set-up",
            condition(
                *("KeySetupPolicy", "AddTheFingerprintDataKey"),
                *("ForAllValues:StringLike", LEADING_KEYS, "fingerprint-*"),
            ),
        ),
        (
            "requests without keys at set-up",
            condition("KeySetupPolicy", "AddTheFingerprintDataKey", "Null", LEADING_KEYS, REMOVED),
        ),
        (
            "the key ring at rotation",
            condition(
                *("KeyRotationPolicy", "AddFingerprintDataKeys"),
                *("ForAllValues:StringLike", LEADING_KEYS, "fingerprint-*"),
            ),
        ),
        (
            "requests without keys at rotation",
            condition("KeyRotationPolicy", "AddFingerprintDataKeys", "Null", LEADING_KEYS, REMOVED),
        ),
        (
            "another statement",
            attach("WorkerRole", Action="dynamodb:PartiQLInsert", Resource=DATA_KEYS_TABLE),
        ),
    ],
    access.check_rotation_changes_wrapped_keys_alone: [
        ("any attribute", edit("KeyRotationPolicy", "ReplaceWrappedKeys", Condition=REMOVED)),
        (
            "the status too",
            condition(
                "KeyRotationPolicy",
                "ReplaceWrappedKeys",
                "ForAllValues:StringEquals",
                "dynamodb:Attributes",
                ["data_key_id", "key_arn", "rewrapped_at", "wrapped_key", "status"],
            ),
        ),
        (
            "the old item comes back",
            condition(
                "KeyRotationPolicy",
                "ReplaceWrappedKeys",
                "StringEqualsIfExists",
                "dynamodb:ReturnValues",
                ["NONE", "ALL_OLD"],
            ),
        ),
        (
            "updates of nothing",
            condition(
                "KeyRotationPolicy", "ReplaceWrappedKeys", "Null", "dynamodb:Attributes", "true"
            ),
        ),
    ],
    access.check_the_key_ring_is_changed_by_its_keepers_alone: [
        *(
            (
                f"another item, by {policy}",
                condition(
                    policy,
                    "SaveTheKeyRing",
                    "ForAllValues:StringEquals",
                    LEADING_KEYS,
                    ["fingerprint-ring", "fingerprint-1"],
                ),
            )
            for policy in RING_KEEPERS
        ),
        *(
            (
                f"a wrapped key, by {policy}",
                condition(
                    policy,
                    "SaveTheKeyRing",
                    "ForAllValues:StringEquals",
                    "dynamodb:Attributes",
                    ["data_key_id", "document", "generation", "wrapped_key"],
                ),
            )
            for policy in RING_KEEPERS
        ),
        *((f"nobody in {policy}", remove(policy, "SaveTheKeyRing")) for policy in RING_KEEPERS),
        *(
            (
                f"updates without {key}",
                condition("ReindexPolicy", "SaveTheKeyRing", "Null", key, REMOVED),
            )
            for key in ("dynamodb:Attributes", LEADING_KEYS)
        ),
        (
            "the keeper of the vault",
            attach("VaultKeeperRole", Action="dynamodb:UpdateItem", Resource=DATA_KEYS_TABLE),
        ),
        ("any condition", edit("KeyShredPolicy", "SaveTheKeyRing", Condition=REMOVED)),
    ],
    access.check_data_keys_are_destroyed_and_the_key_ring_is_not: [
        ("anything", edit("KeyShredPolicy", "DestroyDataKeys", Condition=REMOVED)),
        (
            "whatever its name",
            condition(
                "KeyShredPolicy", "DestroyDataKeys", "ForAllValues:StringLike", LEADING_KEYS, "*"
            ),
        ),
        (
            "requests without keys",
            condition("KeyShredPolicy", "DestroyDataKeys", "Null", LEADING_KEYS, REMOVED),
        ),
        (
            "the wrapped key comes back",
            condition(
                "KeyShredPolicy",
                "DestroyDataKeys",
                "StringEqualsIfExists",
                "dynamodb:ReturnValues",
                ["NONE", "ALL_OLD"],
            ),
        ),
        ("the ring may go", remove("KeyShredPolicy", "NeverDestroyTheKeyRing")),
    ],
    access.check_the_trail_is_all_that_keepers_write_in_the_ledger: [
        ("anything", edit("VaultKeeperPolicy", "KeepTheTrail", Condition=REMOVED)),
        (
            "jobs too",
            condition(
                "VaultKeeperPolicy", "KeepTheTrail", "ForAllValues:StringLike", LEADING_KEYS, "*"
            ),
        ),
        (
            "requests without keys",
            condition("VaultKeeperPolicy", "KeepTheTrail", "Null", LEADING_KEYS, REMOVED),
        ),
    ],
    access.check_who_sees_sealed_rows_or_wrapped_keys_by_trade_opens_none: [
        ("the auditor may", remove("VaultAuditPolicy", "OpenNothing")),
        ("the shredder may", remove("KeyShredPolicy", "OpenNothing")),
        ("one key is spared", edit("VaultAuditPolicy", "OpenNothing", Resource=VAULT_KEY)),
        ("grants are spared", edit("KeyShredPolicy", "OpenNothing", Action="kms:Decrypt")),
        (
            "under a condition",
            edit("KeyShredPolicy", "OpenNothing", Condition={"Bool": {"x": "true"}}),
        ),
    ],
    access.check_re_indexing_changes_no_row: [
        ("no denial", remove("ReindexPolicy", "ChangeNothingInTheVault")),
        (
            "destroying is spared",
            edit(
                "ReindexPolicy",
                "ChangeNothingInTheVault",
                NotAction=["dynamodb:Scan", "dynamodb:DeleteItem"],
            ),
        ),
        (
            "indexes are open",
            edit("ReindexPolicy", "ChangeNothingInTheVault", Resource=VAULT_TABLE),
        ),
    ],
    access.check_keys_are_used_as_the_matrix_says: [
        *VAULT_DECRYPT[:5],
        (
            "detokenization approves itself",
            attach("DetokenizeRole", Action="kms:CreateGrant", Resource=BULK_KEY),
        ),
        (
            "detokenization needs no approval",
            attach("DetokenizeRole", Action="kms:Decrypt", Resource=BULK_KEY),
        ),
        (
            "tokenization unwraps",
            attach("TokenizeRole", Action="kms:Decrypt", Resource=VAULT_KEY),
        ),
        (
            "the worker makes grants",
            attach("WorkerRole", Action="kms:CreateGrant", Resource=VAULT_KEY),
        ),
        (
            "setup sees the plaintext",
            edit("KeySetupPolicy", "MakeTheFingerprintDataKey", Action="kms:GenerateDataKey"),
        ),
        (
            "detokenization re-wraps",
            edit("DetokenizePolicy", "UnwrapVaultDataKeys", Action=["kms:ReEncryptTo"]),
        ),
        ("the worker cannot make data keys", remove("WorkerPolicy", "MakeVaultDataKeys")),
        (
            "rotation schedules a deletion",
            edit("KeyRotationPolicy", "RotateKeys", Action="kms:ScheduleKeyDeletion"),
        ),
        (
            "rotation sees the fingerprint key",
            edit("KeyRotationPolicy", "MakeFingerprintDataKeys", Action="kms:GenerateDataKey"),
        ),
        ("the keeper cannot open rows", remove("VaultKeeperPolicy", "UnwrapVaultDataKeys")),
        ("the auditor opens rows", attach("VaultAuditRole", Action="kms:Decrypt", Resource="*")),
    ],
    access.check_storage_keys_are_used_through_their_service_alone: [
        ("S3's key directly", edit("WorkerPolicy", "UseBucketKeysThroughS3", Condition=REMOVED)),
        (
            "the tables' key through S3",
            condition(
                "DetokenizePolicy",
                "UseTheTablesKeyThroughDynamoDB",
                "StringEquals",
                "kms:ViaService",
                {"Fn::Sub": "s3.${AWS::Region}.${AWS::URLSuffix}"},
            ),
        ),
    ],
    access.check_objects_are_used_as_the_matrix_says: [
        (
            "the worker deletes sources",
            edit(
                "WorkerPolicy",
                "Stage",
                Resource={"Fn::Sub": "${QuarantineBucket.Arn}/incoming/*"},
            ),
        ),
        (
            "the worker deletes tokenized data",
            edit(
                "WorkerPolicy",
                "Stage",
                Resource={"Fn::Sub": "${TokenizedBucket.Arn}/data/*"},
            ),
        ),
        (
            "the worker writes sources",
            edit("WorkerPolicy", "ReadSourcesAndLayouts", Action=["s3:GetObject", "s3:PutObject"]),
        ),
        (
            "detokenization reads files",
            attach("DetokenizeRole", Action="s3:GetObject", Resource=QUARANTINE_OBJECTS),
        ),
        ("the worker cannot write rejects", remove("WorkerPolicy", "WriteRejects")),
        (
            "the keeper puts files",
            edit(
                "KeeperPolicy",
                "KeepLayouts",
                Resource={"Fn::Sub": "${QuarantineBucket.Arn}/incoming/*"},
            ),
        ),
        ("the keeper reads output", edit("KeeperPolicy", "ReadReceipts", Resource=TOKENIZED_DATA)),
        (
            "the keeper deletes layouts",
            attach("KeeperRole", Action="s3:DeleteObject", Resource=LAYOUT_OBJECTS),
        ),
    ],
    access.check_buckets_are_listed_below_known_prefixes: [
        (
            "all of it",
            edit("WorkerPolicy", "TellMissingFromForbiddenInQuarantine", Condition=REMOVED),
        ),
        (
            "any prefix",
            condition(
                "WorkerPolicy",
                "TellMissingFromForbiddenInTokenized",
                "StringLikeIfExists",
                "s3:prefix",
                ["*"],
            ),
        ),
    ],
    access.check_only_lambda_itself_makes_network_interfaces: [
        ("code does", remove("NetworkPolicy", "CodeDoesNot")),
        (
            "code does some",
            edit("NetworkPolicy", "CodeDoesNot", Action="ec2:CreateNetworkInterface"),
        ),
        ("nobody does", edit("NetworkPolicy", "CodeDoesNot", Condition={"Bool": {"x": "true"}})),
        (
            "people do",
            attach("AuditorRole", Action="ec2:CreateNetworkInterface", Resource="*"),
        ),
        (
            "Lambda does not",
            edit("NetworkPolicy", "LambdaMakesInterfaces", Action="ec2:DescribeSubnets"),
        ),
    ],
    access.check_the_watch_alone_lists_versions_and_of_uploads_alone: [
        ("of everything", edit("WatchPolicy", "ListUploads", Condition=REMOVED)),
        (
            "of rejects too",
            condition(
                "WatchPolicy", "ListUploads", "StringEquals", "s3:prefix", ["incoming/", "rejects/"]
            ),
        ),
        (
            "of the tokenized bucket",
            edit(
                "WatchPolicy",
                "ListUploads",
                Resource={"Fn::GetAtt": ["TokenizedBucket", "Arn"]},
            ),
        ),
        ("repair does", edit("RepairPolicy", "ReadTheLedger", Action="s3:ListBucketVersions")),
    ],
    access.check_functions_write_their_own_log_alone: [
        (
            "another group",
            edit(
                "WorkerPolicy",
                "WriteItsOwnLog",
                Resource={"Fn::GetAtt": ["KeySetupLogGroup", "Arn"]},
            ),
        ),
        ("every group", edit("KeySetupPolicy", "WriteItsOwnLog", Resource="*")),
    ],
    keys.check_key_policies_name_their_users_alone: [
        *VAULT_DECRYPT[5:],
        ("the keeper cannot read layouts", remove("QuarantineKey", "LayoutsAreKept")),
        (
            "the account decrypts quarantine",
            edit("QuarantineKey", "TheAccountPuts", Action=["kms:GenerateDataKey", "kms:Decrypt"]),
        ),
        (
            "detokenization reads quarantine",
            add(
                "QuarantineKey",
                Principal={"AWS": {"Fn::GetAtt": ["DetokenizeRole", "Arn"]}},
                Action="kms:Decrypt",
                Resource="*",
            ),
        ),
        (
            "administrators make grants",
            lambda template: template["Mappings"]["KeyAdministration"]["Account"]["Actions"].append(
                "kms:CreateGrant"
            ),
        ),
        ("log delivery is refused", remove("AccessLogKey", "LogDeliveryWrites")),
        ("nobody may administer", remove("FingerprintKey", "Administer")),
    ],
    keys.check_administrators_touch_no_plaintext: [
        ("kms:*", edit("VaultKey", "Administer", Action="kms:*")),
        ("all but one", edit("FingerprintKey", "Administer", Action=REMOVED, NotAction="kms:Sign")),
        (
            "through a service",
            add(
                "VaultKey",
                Principal=ACCOUNT_ROOT,
                Action="kms:Decrypt",
                Resource="*",
                Condition={"StringEquals": {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}},
            ),
        ),
        ("a storage key directly", edit("TokenizedKey", "TheAccountReads", Condition=REMOVED)),
    ],
    keys.check_vault_keys_are_used_in_their_context_alone: [
        (
            "no context for the worker",
            edit("VaultKey", "TheWorkerMakesDataKeys", Condition=REMOVED),
        ),
        (
            "no job in the context",
            condition(
                "VaultKey",
                "TheWorkerMakesDataKeys",
                "Null",
                "kms:EncryptionContext:job_id",
                REMOVED,
            ),
        ),
        (
            "no data key in the context, by IAM",
            condition(
                "WorkerPolicy",
                "MakeVaultDataKeys",
                "Null",
                "kms:EncryptionContext:data_key_id",
                "true",
            ),
        ),
        (
            "detokenization of fingerprint keys",
            condition(
                "VaultKey",
                "DetokenizationUnwrapsDataKeys",
                "StringEquals",
                "kms:EncryptionContext:purpose",
                ["vault", "fingerprint"],
            ),
        ),
        ("re-wrapping of anything", edit("VaultKey", "RotationRewrapsDataKeys", Condition=REMOVED)),
        *(
            (f"{sid} for anything", edit(key, sid, Condition=REMOVED))
            for key, sid in (
                ("VaultKey", "ReindexingUnwrapsDataKeys"),
                ("VaultKey", "TheKeeperUnwrapsDataKeys"),
                ("FingerprintKey", "ReindexingUnwrapsTheDataKeys"),
                ("FingerprintKey", "TheKeeperUnwrapsTheDataKeys"),
                ("FingerprintKey", "RotationRewrapsTheDataKeys"),
                ("FingerprintKey", "RotationMakesDataKeys"),
                ("KeyRotationPolicy", "RewrapFingerprintDataKeys"),
                ("KeyRotationPolicy", "MakeFingerprintDataKeys"),
                ("ReindexPolicy", "UnwrapVaultDataKeys"),
                ("VaultKeeperPolicy", "UnwrapFingerprintDataKeys"),
            )
        ),
        (
            "unwrapping of anything",
            edit("WorkerPolicy", "UnwrapTheFingerprintDataKey", Condition=REMOVED),
        ),
        (
            "a fingerprint key for any purpose",
            edit("FingerprintKey", "SetupMakesTheDataKey", Condition=REMOVED),
        ),
    ],
    keys.check_an_approval_is_for_one_job_and_for_detokenization_alone: [
        *(
            (f"{policy} {sid}: any {name}", condition(policy, sid, operator, name, REMOVED))
            for policy, sid in (
                ("ApproverPolicy", "ApproveBulkJobs"),
                ("BulkKey", "ApproversApprove"),
            )
            for operator, name in (
                ("StringEquals", "kms:GrantConstraintType"),
                ("StringEquals", "kms:GranteePrincipal"),
                ("StringEquals", "kms:RetiringPrincipal"),
                ("ForAllValues:StringEquals", "kms:GrantOperations"),
                ("Null", "kms:GrantOperations"),
            )
        ),
        (
            "for a part of a job's context",
            condition(
                "BulkKey",
                "ApproversApprove",
                "StringEquals",
                "kms:GrantConstraintType",
                "EncryptionContextSubset",
            ),
        ),
    ],
    keys.check_storage_keys_are_bound_to_their_service: [
        (
            "uploaders decrypt directly",
            edit("QuarantineKey", "UploadersPutInParts", Condition=REMOVED),
        ),
        (
            "the worker decrypts directly",
            edit("QuarantineKey", "TheWorkerReadsAndWrites", Condition=REMOVED),
        ),
        ("logs of other accounts", edit("AccessLogKey", "LogDeliveryWrites", Condition=REMOVED)),
        (
            "tables' grants to anything",
            edit("TablesKey", "TheAccountUsesTheTables", Condition=REMOVED),
        ),
        (
            "buckets of other accounts",
            condition(
                "QueueKey",
                "TheQuarantineBucketNotifies",
                "StringEquals",
                "aws:SourceAccount",
                REMOVED,
            ),
        ),
    ],
    keys.check_the_queue_key_serves_the_quarantine_bucket: [
        ("S3 is left out", remove("QueueKey", "TheQuarantineBucketNotifies")),
        (
            "any bucket",
            condition(
                "QueueKey", "TheQuarantineBucketNotifies", "ArnEquals", "aws:SourceArn", REMOVED
            ),
        ),
    ],
    keys.check_the_logs_key_serves_our_logs: [
        ("any log group", edit("LogsKey", "TheLogServiceReadsAndWrites", Condition=REMOVED)),
    ],
    keys.check_keys_rotate: [("one does not", prop("VaultKey.EnableKeyRotation", False))],
    keys.check_every_store_has_the_key_meant_for_it: [
        (
            "buckets share a key",
            prop(
                f"TokenizedBucket.{ENCRYPTION}.ServerSideEncryptionByDefault.KMSMasterKeyID",
                {"Fn::GetAtt": ["QuarantineKey", "Arn"]},
            ),
        ),
        ("a queue without its own", prop("DeadLetterQueue.KmsMasterKeyId", "alias/aws/sqs")),
        ("a log group without", prop("WorkerLogGroup.KmsKeyId", REMOVED)),
        ("a table with AWS's", prop("VaultTable.SSESpecification.KMSMasterKeyId", REMOVED)),
    ],
    keys.check_vault_keys_encrypt_no_storage: [
        (
            "a bucket",
            prop(
                f"TokenizedBucket.{ENCRYPTION}.ServerSideEncryptionByDefault.KMSMasterKeyID",
                VAULT_KEY,
            ),
        ),
        ("a table", prop("VaultTable.SSESpecification.KMSMasterKeyId", VAULT_KEY)),
        ("a queue", prop("WorkQueue.KmsMasterKeyId", {"Fn::GetAtt": ["FingerprintKey", "Arn"]})),
        ("a log", prop("WorkerLogGroup.KmsKeyId", VAULT_KEY)),
    ],
    keys.check_no_role_may_decrypt_with_the_vault_key_but_those_who_open: VAULT_DECRYPT,
    buckets.check_buckets_refuse_requests_without_tls: [
        ("no denial", remove("TokenizedBucketPolicy", "TlsOnly")),
        ("reads alone", edit("QuarantineBucketPolicy", "TlsOnly", Action="s3:Get*")),
        ("objects alone", edit("QuarantineBucketPolicy", "TlsOnly", Resource=QUARANTINE_OBJECTS)),
        ("some people", edit("AccessLogBucketPolicy", "TlsOnly", Principal=WORKER)),
        (
            "on a second condition",
            condition("AccessLogBucketPolicy", "TlsOnly", "Bool", "aws:ViaAWSService", "false"),
        ),
        ("another bucket", prop("TokenizedBucketPolicy.Bucket", {"Ref": "AccessLogBucket"})),
    ],
    buckets.check_buckets_are_closed_to_the_public: [
        (
            "one block is off",
            prop("QuarantineBucket.PublicAccessBlockConfiguration.RestrictPublicBuckets", False),
        ),
        ("no block", prop("AccessLogBucket.PublicAccessBlockConfiguration", REMOVED)),
        (
            "uploaders own",
            prop("QuarantineBucket.OwnershipControls.Rules", [{"ObjectOwnership": "x"}]),
        ),
    ],
    buckets.check_buckets_keep_versions: [
        ("suspended", prop("TokenizedBucket.VersioningConfiguration.Status", "Suspended")),
        ("absent", prop("QuarantineBucket.VersioningConfiguration", REMOVED)),
    ],
    buckets.check_buckets_encrypt_with_kms: [
        (
            "SSE-S3",
            prop(f"AccessLogBucket.{ENCRYPTION}.ServerSideEncryptionByDefault", UNENCRYPTED),
        ),
        ("no bucket key", prop(f"TokenizedBucket.{ENCRYPTION}.BucketKeyEnabled", False)),
        ("SSE-C", prop(f"QuarantineBucket.{ENCRYPTION}.BlockedEncryptionTypes", REMOVED)),
    ],
    buckets.check_requests_cannot_choose_another_encryption: [
        ("they may", remove("QuarantineBucketPolicy", "EncryptedWithThisKeyAlone")),
        (
            "with any key",
            condition(
                "TokenizedBucketPolicy",
                "EncryptedWithThisKeyAlone",
                "StringNotEquals",
                "s3:x-amz-server-side-encryption-aws-kms-key-id",
                VAULT_KEY,
            ),
        ),
    ],
    buckets.check_incomplete_uploads_are_dropped: [
        ("never", prop(f"{LIFECYCLE}.4.AbortIncompleteMultipartUpload", REMOVED)),
        ("late", prop(f"{LIFECYCLE}.4.AbortIncompleteMultipartUpload.DaysAfterInitiation", 90)),
        ("in one place", prop(f"{LIFECYCLE}.4.Prefix", "incoming/")),
        ("switched off", prop("AccessLogBucket.LifecycleConfiguration.Rules.1.Status", "Disabled")),
    ],
    buckets.check_access_is_logged: [
        ("not for quarantine", prop("QuarantineBucket.LoggingConfiguration", REMOVED)),
        (
            "into itself",
            prop("AccessLogBucket.LoggingConfiguration", {"DestinationBucketName": "x"}),
        ),
        (
            "into a closed prefix",
            prop("TokenizedBucket.LoggingConfiguration.LogFilePrefix", "else/"),
        ),
        (
            "for anybody's bucket",
            edit("AccessLogBucketPolicy", "LogDeliveryPuts", Condition=REMOVED),
        ),
    ],
    buckets.check_bucket_policies_allow_these_alone: [
        (
            "the account reads",
            add(
                "TokenizedBucketPolicy", Principal=ACCOUNT_ROOT, Action="s3:GetObject", Resource="x"
            ),
        ),
        (
            "uploaders read",
            edit("QuarantineBucketPolicy", "UploadersPut", Action=["s3:GetObject", "s3:PutObject"]),
        ),
    ],
    buckets.check_uploaders_put_into_the_intake_alone: [
        ("anywhere", edit("QuarantineBucketPolicy", "UploadersPut", Resource=QUARANTINE_OBJECTS)),
    ],
    buckets.check_quarantine_is_read_by_the_worker_alone: [
        ("by anybody", remove("QuarantineBucketPolicy", "ReadByTheWorkerAlone")),
        (
            "in old versions",
            edit("QuarantineBucketPolicy", "ReadByTheWorkerAlone", Action="s3:GetObject"),
        ),
        (
            "in part",
            edit(
                "QuarantineBucketPolicy",
                "ReadByTheWorkerAlone",
                NotResource=REMOVED,
                Resource={"Fn::Sub": "${QuarantineBucket.Arn}/incoming/*"},
            ),
        ),
        (
            "by detokenization too",
            condition(
                "QuarantineBucketPolicy",
                "ReadByTheWorkerAlone",
                "ArnNotEquals",
                "aws:PrincipalArn",
                [WORKER["AWS"], {"Fn::GetAtt": ["DetokenizeRole", "Arn"]}],
            ),
        ),
        (
            "by all but some",
            edit("QuarantineBucketPolicy", "ReadByTheWorkerAlone", Principal=WORKER),
        ),
        (
            "by setup",
            attach("KeySetupRole", Action="s3:Get*", Resource=QUARANTINE_OBJECTS),
        ),
    ],
    buckets.check_rejects_are_read_by_the_worker_and_for_repair_alone: [
        ("by anybody", remove("QuarantineBucketPolicy", "RejectsReadForRepairToo")),
        (
            "in old versions",
            edit("QuarantineBucketPolicy", "RejectsReadForRepairToo", Action="s3:GetObject"),
        ),
        (
            "by setup",
            attach("KeySetupRole", Action="s3:Get*", Resource=QUARANTINE_OBJECTS),
        ),
    ],
    buckets.check_layouts_are_read_by_the_worker_and_their_keeper_alone: [
        ("by anybody", remove("QuarantineBucketPolicy", "LayoutsReadByTheirKeeperToo")),
        (
            "in old versions",
            edit("QuarantineBucketPolicy", "LayoutsReadByTheirKeeperToo", Action="s3:GetObject"),
        ),
        (
            "by the worker alone",
            condition(
                "QuarantineBucketPolicy",
                "LayoutsReadByTheirKeeperToo",
                "ArnNotEquals",
                "aws:PrincipalArn",
                WORKER["AWS"],
            ),
        ),
        ("for repair", attach("RepairRole", Action="s3:Get*", Resource=LAYOUT_OBJECTS)),
    ],
    buckets.check_quarantine_is_tagged_by_the_worker_alone: [
        ("by anybody", remove("QuarantineBucketPolicy", "TaggedByTheWorkerAlone")),
    ],
    buckets.check_uploads_are_announced: [
        ("not at all", prop("QuarantineBucket.NotificationConfiguration", REMOVED)),
        (
            "rejects too",
            prop(
                "QuarantineBucket.NotificationConfiguration.QueueConfigurations.0.Filter", REMOVED
            ),
        ),
        (
            "to the dead letters",
            prop(
                "QuarantineBucket.NotificationConfiguration.QueueConfigurations.0.Queue",
                {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]},
            ),
        ),
        ("too early", attribute("QuarantineBucket.DependsOn", ["AccessLogBucketPolicy"])),
    ],
    buckets.check_card_numbers_leave_quarantine: [
        ("no rule for the tag", prop(f"{LIFECYCLE}.0.TagFilters.0.Value", "other")),
        ("another rule for the tag", prop(f"{LIFECYCLE}.0.TagFilters", REMOVED)),
        ("old versions stay", prop(f"{LIFECYCLE}.0.NoncurrentVersionExpiration", REMOVED)),
        ("rejects stay", prop(f"{LIFECYCLE}.2.Status", "Disabled")),
        ("staged parts stay", prop(f"{LIFECYCLE}.3.Status", "Disabled")),
        ("staged parts go before a replay", prop(f"{LIFECYCLE}.3.ExpirationInDays", 14)),
        ("the rule is off", prop(f"{LIFECYCLE}.0.Status", "Disabled")),
    ],
    buckets.check_every_upload_goes_and_none_before_its_replay: [
        ("untokenized ones stay", prop(f"{LIFECYCLE}.1.Status", "Disabled")),
        ("those of one folder go", prop(f"{LIFECYCLE}.1.Prefix", "incoming/acme/")),
        ("with a tag", prop(f"{LIFECYCLE}.1.TagFilters", [{"Key": "x", "Value": "y"}])),
        ("old versions stay", prop(f"{LIFECYCLE}.1.NoncurrentVersionExpiration", REMOVED)),
        (
            "what was replaced goes at once",
            prop(f"{LIFECYCLE}.1.NoncurrentVersionExpiration.NoncurrentDays", 18),
        ),
        ("before a replay", prop(f"{LIFECYCLE}.1.ExpirationInDays", 18)),
        ("every file at once", prop(f"{LIFECYCLE}.0.TagFilters", REMOVED)),
        ("a short time can be set", parameter("UntokenizedRetentionDays.MinValue", 7)),
    ],
    buckets.check_retention_is_a_parameter: [
        ("fixed", prop(f"{LIFECYCLE}.0.ExpirationInDays", 7)),
        ("fixed for what nobody could tokenize", prop(f"{LIFECYCLE}.1.ExpirationInDays", 30)),
    ],
    buckets.check_published_parts_stay: [
        ("they go", prop("TokenizedBucket.LifecycleConfiguration.Rules.0.ExpirationInDays", 30)),
    ],
    queues.check_queues_refuse_requests_without_tls: [
        ("no denial", remove("DeadLetterQueuePolicy", "TlsOnly")),
        ("sending alone", edit("WorkQueuePolicy", "TlsOnly", Action="sqs:SendMessage")),
        ("another queue", prop("DeadLetterQueuePolicy.Queues", [{"Ref": "WorkQueue"}])),
    ],
    queues.check_the_quarantine_bucket_alone_is_let_in: [
        (
            "any bucket",
            condition(
                "WorkQueuePolicy", "TheQuarantineBucketNotifies", "ArnEquals", "aws:SourceArn", "x"
            ),
        ),
        (
            "any account",
            condition(
                "WorkQueuePolicy",
                "TheQuarantineBucketNotifies",
                "StringEquals",
                "aws:SourceAccount",
                REMOVED,
            ),
        ),
        (
            "the account",
            edit("WorkQueuePolicy", "TheQuarantineBucketNotifies", Principal=ACCOUNT_ROOT),
        ),
        (
            "to receive",
            edit("WorkQueuePolicy", "TheQuarantineBucketNotifies", Action="sqs:ReceiveMessage"),
        ),
        (
            "to the dead letters",
            add(
                "DeadLetterQueuePolicy",
                Principal={"Service": "s3.amazonaws.com"},
                Action="sqs:SendMessage",
            ),
        ),
    ],
    queues.check_a_message_stays_hidden_while_a_worker_runs: [
        ("a second short", prop("WorkQueue.VisibilityTimeout", 1079)),
        ("the default", prop("WorkQueue.VisibilityTimeout", REMOVED)),
        ("a slower worker", prop("WorkerFunction.Timeout", 301)),
    ],
    queues.check_dead_letters_outlive_their_source: [
        ("the default", prop("DeadLetterQueue.MessageRetentionPeriod", REMOVED)),
        ("as long as each other", prop("WorkQueue.MessageRetentionPeriod", 1209600)),
    ],
    queues.check_a_message_is_given_up_after_five_tries: [
        ("after one", prop("WorkQueue.RedrivePolicy.maxReceiveCount", 1)),
        ("never", prop("WorkQueue.RedrivePolicy", REMOVED)),
        ("elsewhere", prop("WorkQueue.RedrivePolicy.deadLetterTargetArn", "x")),
        (
            "the worker counts to three",
            prop("WorkerFunction.Environment.Variables.PANTOK_MAX_RECEIVES", "3"),
        ),
    ],
    queues.check_dead_letters_come_from_the_work_queue_alone: [
        ("from anywhere", prop("DeadLetterQueue.RedriveAllowPolicy", REMOVED)),
        ("from all", prop("DeadLetterQueue.RedriveAllowPolicy.redrivePermission", "allowAll")),
    ],
    tables.check_tables_have_their_keys: [
        ("a text fingerprint", prop("FingerprintsTable.AttributeDefinitions.0.AttributeType", "S")),
        ("another name", prop("VaultTable.KeySchema.0.AttributeName", "ciphertext")),
    ],
    tables.check_tables_are_paid_by_request: [
        ("fixed", prop("VaultTable.BillingMode", "PROVISIONED")),
        ("the default", prop("JobsTable.BillingMode", REMOVED)),
    ],
    tables.check_the_busy_tables_can_be_warmed: [
        ("not the vault", prop("VaultTable.WarmThroughput", REMOVED)),
        ("for writes only", prop(f"{WARM_FINGERPRINTS}.ReadUnitsPerSecond", REMOVED)),
        (
            "as another one is",
            prop(f"{WARM_FINGERPRINTS}.WriteUnitsPerSecond", {"Ref": "VaultWarmWriteUnits"}),
        ),
    ],
    tables.check_no_table_is_warmed_unasked: [
        ("by default", parameter("VaultWarmWriteUnits.Default", 8000)),
        ("whatever is asked", prop("JobsTable.WarmThroughput", {"WriteUnitsPerSecond": 4000})),
    ],
    tables.check_tables_can_be_restored: [
        (
            "off",
            prop(
                "DataKeysTable.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled", False
            ),
        ),
        ("absent", prop("VaultTable.PointInTimeRecoverySpecification", REMOVED)),
    ],
    tables.check_tables_encrypt_with_kms: [
        ("off", prop("FingerprintsTable.SSESpecification.SSEEnabled", False)),
        ("absent", prop("JobsTable.SSESpecification", REMOVED)),
    ],
    tables.check_tables_are_protected_by_default: [
        ("one is not", prop("VaultTable.DeletionProtectionEnabled", REMOVED)),
        ("off", parameter("TableDeletionProtection.Default", "false")),
    ],
    tables.check_only_the_ledger_and_the_limits_forget: [
        (
            "the vault does",
            prop("VaultTable.TimeToLiveSpecification", {"AttributeName": "x", "Enabled": True}),
        ),
        ("the ledger does not", prop("JobsTable.TimeToLiveSpecification.Enabled", False)),
    ],
    functions.check_functions_get_their_settings: [
        (
            "detokenization logs events",
            prop("DetokenizeFunction.Environment.Variables.POWERTOOLS_LOGGER_LOG_EVENT", "true"),
        ),
        (
            "tokenization cannot record",
            prop("TokenizeFunction.Environment.Variables.PANTOK_AUDIT_LOG_GROUP", REMOVED),
        ),
        (
            "events are logged",
            prop("WorkerFunction.Environment.Variables.POWERTOOLS_LOGGER_LOG_EVENT", "true"),
        ),
        (
            "errors are traced",
            prop("WorkerFunction.Environment.Variables.POWERTOOLS_TRACER_CAPTURE_ERROR", REMOVED),
        ),
        (
            "one is missing",
            prop("WorkerFunction.Environment.Variables.PANTOK_VAULT_TABLE", REMOVED),
        ),
        (
            "one is added",
            prop("WorkerFunction.Environment.Variables.POWERTOOLS_LOG_DEDUPLICATION", "1"),
        ),
        (
            "tables are mixed up",
            prop("WorkerFunction.Environment.Variables.PANTOK_JOBS_TABLE", {"Ref": "VaultTable"}),
        ),
    ],
    functions.check_nobody_can_turn_on_debugging: [
        ("DEBUG is on offer", parameter("LogLevel.AllowedValues", ["INFO", "DEBUG"])),
        ("anything goes", parameter("LogLevel.AllowedValues", REMOVED)),
    ],
    functions.check_functions_run_what_they_should: [
        ("another handler", prop("WorkerFunction.Handler", "index.handler")),
        ("another Python", prop("KeySetupFunction.Runtime", "python3.9")),
        ("another's rights", prop("KeySetupFunction.Role", {"Fn::GetAtt": ["WorkerRole", "Arn"]})),
        ("a fixed processor", prop("WorkerFunction.Architectures", ["x86_64"])),
        ("another package", prop("WorkerFunction.CodeUri", "..")),
    ],
    functions.check_functions_log_where_logs_are_kept_and_encrypted: [
        ("in a group of Lambda's", prop("WorkerFunction.LoggingConfig", REMOVED)),
        ("for ever", prop("WorkerLogGroup.RetentionInDays", REMOVED)),
        ("in clear", prop("KeySetupLogGroup.KmsKeyId", REMOVED)),
        ("for a day", parameter("LogRetentionDays.AllowedValues", [1, 400])),
    ],
    functions.check_functions_are_traced: [
        ("not the worker", prop("WorkerFunction.Tracing", "PassThrough")),
        ("not detokenization", prop("DetokenizeFunction.Tracing", REMOVED)),
    ],
    functions.check_a_message_fails_alone: [
        ("with its neighbours", prop(f"{SCALING}.FunctionResponseTypes", REMOVED)),
        ("ten at once", prop(f"{SCALING}.BatchSize", 10)),
        (
            "dead letters come back",
            prop(f"{SCALING}.Queue", {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}),
        ),
        ("nothing starts it", prop("WorkerFunction.Events", {})),
    ],
    functions.check_concurrency_is_a_parameter: [
        ("fixed", prop(f"{SCALING}.ScalingConfig.MaximumConcurrency", 10)),
        ("unbounded", prop(f"{SCALING}.ScalingConfig", REMOVED)),
        ("below what Lambda takes", parameter("MaximumConcurrency.MinValue", 1)),
        ("above what Lambda takes", parameter("MaximumConcurrency.MaxValue", REMOVED)),
    ],
    functions.check_functions_wait_for_their_rights_and_keys: [
        ("tokenization does not", attribute("TokenizeFunction.DependsOn", REMOVED)),
        ("not for the key", attribute("WorkerFunction.DependsOn", "WorkerPolicy")),
        ("not for setup's rights", attribute("KeySetupFunction.DependsOn", REMOVED)),
    ],
    functions.check_functions_run_in_the_network_that_is_named: [
        ("detokenization does not", prop("DetokenizeFunction.VpcConfig", REMOVED)),
        (
            "in another one",
            prop("WorkerFunction.VpcConfig.Fn::If.1.SubnetIds", ["subnet-another"]),
        ),
        (
            "unasked",
            prop("WatchFunction.VpcConfig", {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []}),
        ),
        (
            "rights unasked",
            add("NetworkPolicy", Action="ec2:CreateNetworkInterface", Resource="*"),
        ),
    ],
    functions.check_the_watch_looks_four_times_an_hour: [
        ("once an hour", prop("WatchFunction.Events.Look.Properties.Schedule", "rate(1 hour)")),
        ("it is switched off", prop("WatchFunction.Events.Look.Properties.Enabled", False)),
        ("nothing starts it", prop("WatchFunction.Events", REMOVED)),
    ],
    functions.check_the_fingerprint_key_is_made_once: [
        ("a second one", prop("FingerprintDataKey.DataKeyId", "fingerprint-2")),
        ("under the vault key", prop("FingerprintDataKey.KeyArn", VAULT_KEY)),
    ],
    api.check_routes_lead_to_their_functions: [
        (
            "detokenization is open to the other function",
            prop("TokenizeFunction.Events.Tokenize.Properties.Path", "/detokenize2"),
        ),
        ("one is missing", prop("DetokenizeFunction.Events.Describe", REMOVED)),
    ],
    api.check_requests_are_signed: [
        ("not at all", prop("Api.Auth.DefaultAuthorizer", REMOVED)),
        (
            "not everywhere",
            prop("DetokenizeFunction.Events.Detokenize.Properties.Auth", {"Authorizer": "NONE"}),
        ),
    ],
    api.check_callers_need_no_right_to_invoke_functions: [
        ("they do", prop("Api.Auth.InvokeRole", REMOVED)),
    ],
    api.check_no_request_is_written_down: [
        ("bodies are", prop("Api.MethodSettings.0.DataTraceEnabled", True)),
        ("paths are", prop("Api.MethodSettings.0.LoggingLevel", "INFO")),
        ("by default they may be", prop("Api.MethodSettings.0.DataTraceEnabled", REMOVED)),
        ("in one place", prop("Api.MethodSettings.0.ResourcePath", "/tokenize")),
        ("nothing is said", prop("Api.MethodSettings", REMOVED)),
        ("answers are cached", prop("Api.MethodSettings.0.CachingEnabled", True)),
        ("traces have URLs", prop("Api.TracingEnabled", True)),
        ("access is", prop("Api.AccessLogSetting", {"DestinationArn": "x", "Format": "$context"})),
    ],
    api.check_the_api_is_throttled: [
        ("not", prop("Api.MethodSettings.0.ThrottlingRateLimit", REMOVED)),
    ],
    api.check_refusals_of_api_gateway_repeat_nothing: [
        ("its own texts", prop("Api.GatewayResponses.DEFAULT_4XX", REMOVED)),
        (
            "the error's text",
            prop(
                "Api.GatewayResponses.DEFAULT_4XX.ResponseTemplates",
                {"application/json": '{"message":$context.error.messageString}'},
            ),
        ),
        (
            "they may be cached",
            prop("Api.GatewayResponses.DEFAULT_5XX.ResponseParameters", REMOVED),
        ),
    ],
    api.check_the_record_is_kept_long: [
        ("as long as logs", prop("AuditLogGroup.RetentionInDays", {"Ref": "LogRetentionDays"})),
        ("for ever", prop("AuditLogGroup.RetentionInDays", REMOVED)),
        ("a month is on offer", parameter("AuditRetentionDays.AllowedValues", [30, 2557])),
        ("a year by default", parameter("AuditRetentionDays.Default", 400)),
    ],
    stack.check_data_outlives_the_stack: [
        ("the record goes", attribute("AuditLogGroup.DeletionPolicy", "Delete")),
        ("the vault goes", attribute("VaultTable.DeletionPolicy", "Delete")),
        ("its key goes", attribute("VaultKey.DeletionPolicy", REMOVED)),
        ("a replaced bucket goes", attribute("TokenizedBucket.UpdateReplacePolicy", REMOVED)),
    ],
    stack.check_names_are_fixed: [("one is not", rename_quarantine)],
    stack.check_parameters_are_explained_and_bounded: [
        ("not explained", parameter("LogLevel.Description", "")),
        ("not bounded", parameter("SourceRetentionDays.MaxValue", REMOVED)),
    ],
    stack.check_outputs_are_those_promised: [
        ("one is missing", lambda template: template["Outputs"].pop("LayoutsUri")),
    ],
}
