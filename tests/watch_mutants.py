"""Ways to break the watching template, each in one place, by the check that must notice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.template_checks import access, buckets, keys, stack
from tests.template_mutants import (
    REMOVED,
    Breakage,
    RawTemplate,
    add,
    attribute,
    condition,
    edit,
    parameter,
    prop,
    remove,
)
from tests.watch_checks import Check, alarms, queries, trail

TRAIL_FILTER = "KeysEndangeredFilter.MetricTransformations.0"
LOCK = "TrailBucket.ObjectLockConfiguration.Rule.DefaultRetention"
RESULTS_ENCRYPTION = "ResultsBucket.BucketEncryption.ServerSideEncryptionConfiguration.0"
WORK_GROUP = "WorkGroup.WorkGroupConfiguration"


def drop(logical_id: str) -> Breakage:
    def apply(template: RawTemplate) -> None:
        del template["Resources"][logical_id]

    return apply


def in_dashboard(old: str, new: str) -> Breakage:
    def apply(template: RawTemplate) -> None:
        properties = template["Resources"]["Dashboard"]["Properties"]
        properties["DashboardBody"]["Fn::Sub"] = properties["DashboardBody"]["Fn::Sub"].replace(
            old, new, 1
        )

    return apply


def selector(at: int, values: list[str]) -> Breakage:
    """Replaces the values of the last field that a selector asks for; REMOVED takes it away."""

    def apply(template: RawTemplate) -> None:
        found = template["Resources"]["Trail"]["Properties"]["AdvancedEventSelectors"]
        found[at]["FieldSelectors"][-1]["Equals"] = values

    return apply


def no_selector(at: int) -> Breakage:
    def apply(template: RawTemplate) -> None:
        del template["Resources"]["Trail"]["Properties"]["AdvancedEventSelectors"][at]

    return apply


def column(table: str, change: Callable[[list[Any]], object]) -> Breakage:
    def apply(template: RawTemplate) -> None:
        storage = template["Resources"][table]["Properties"]["TableInput"]["StorageDescriptor"]
        change(storage["Columns"])

    return apply


def query(name: str, old: str, new: str) -> Breakage:
    def apply(template: RawTemplate) -> None:
        properties = template["Resources"][name]["Properties"]
        properties["QueryString"] = json.loads(
            json.dumps(properties["QueryString"]).replace(old, new)
        )

    return apply


ANOTHER_STACK = {"Fn::Sub": "another-worker"}

MUTANTS: dict[Check, list[tuple[str, Breakage]]] = {
    access.check_nobody_is_everybody: [
        ("on the trail's bucket", add("TrailBucketPolicy", Principal="*")),
        ("on the topic", add("AlarmTopicPolicy", Principal={"AWS": "*"})),
        ("on a key", add("AlarmKey", Principal={"Service": "*"})),
    ],
    buckets.check_buckets_refuse_requests_without_tls: [
        ("the trail's", remove("TrailBucketPolicy", "TlsOnly")),
        ("that of results", remove("ResultsBucketPolicy", "TlsOnly")),
    ],
    buckets.check_buckets_are_closed_to_the_public: [
        ("not", prop("TrailBucket.PublicAccessBlockConfiguration.BlockPublicPolicy", REMOVED)),
        ("others own results", prop("ResultsBucket.OwnershipControls", {"Rules": []})),
    ],
    buckets.check_buckets_keep_versions: [
        ("not", prop("TrailBucket.VersioningConfiguration", REMOVED)),
    ],
    buckets.check_incomplete_uploads_are_dropped: [
        ("not", prop("TrailBucket.LifecycleConfiguration.Rules.1.Status", "Disabled")),
    ],
    keys.check_administrators_touch_no_plaintext: [
        ("they do", edit("TrailKey", "Administer", Action=["kms:Decrypt", "kms:PutKeyPolicy"])),
    ],
    keys.check_keys_rotate: [("one does not", prop("AlarmKey.EnableKeyRotation", False))],
    stack.check_parameters_are_explained_and_bounded: [
        ("not explained", parameter("AlarmEmail.Description", "")),
        ("not bounded", parameter("TrailLockDays.MaxValue", REMOVED)),
    ],
    trail.check_the_trail_tells_of_everything_that_matters: [
        ("nothing of keys", no_selector(0)),
        ("nothing of files", no_selector(1)),
        ("nothing of the vault", no_selector(2)),
        ("nothing of grants and data keys", no_selector(3)),
        ("of another table", selector(2, ["arn:aws:dynamodb:x:1:table/other"])),
        ("nothing at all", prop("Trail.AdvancedEventSelectors", REMOVED)),
    ],
    trail.check_the_trail_runs_everywhere_and_is_validated: [
        ("it rests", prop("Trail.IsLogging", False)),
        ("in one region", prop("Trail.IsMultiRegionTrail", REMOVED)),
        ("nothing of roles", prop("Trail.IncludeGlobalServiceEvents", False)),
        ("files may be changed", prop("Trail.EnableLogFileValidation", False)),
    ],
    trail.check_the_trail_goes_to_its_own_bucket_key_and_log: [
        ("not encrypted", prop("Trail.KMSKeyId", REMOVED)),
        ("with another key", prop("Trail.KMSKeyId", {"Fn::GetAtt": ["ResultsKey", "Arn"]})),
        ("into another bucket", prop("Trail.S3BucketName", {"Ref": "ResultsBucket"})),
        ("not where alarms read", prop("Trail.CloudWatchLogsLogGroupArn", REMOVED)),
        ("before it may", attribute("Trail.DependsOn", "TrailBucketPolicy")),
    ],
    trail.check_nobody_deletes_the_trail: [
        ("somebody may", remove("TrailBucketPolicy", "NobodyDeletes")),
        (
            "versions may be deleted",
            edit("TrailBucketPolicy", "NobodyDeletes", Action=["s3:DeleteObject"]),
        ),
        (
            "under some circumstances",
            edit("TrailBucketPolicy", "NobodyDeletes", Condition={"Bool": {"x": "true"}}),
        ),
        ("no lock", prop("TrailBucket.ObjectLockEnabled", REMOVED)),
        ("no retention", prop("TrailBucket.ObjectLockConfiguration", REMOVED)),
        ("for a day", prop(f"{LOCK}.Days", 1)),
        ("with a way out", parameter("TrailLockMode.Default", "GOVERNANCE")),
        ("for a month", parameter("TrailLockDays.Default", 30)),
    ],
    trail.check_the_trail_is_kept_for_a_year: [
        ("for a week", prop("TrailBucket.LifecycleConfiguration.Rules.0.ExpirationInDays", 7)),
        ("a month is on offer", parameter("TrailRetentionDays.MinValue", 30)),
        ("it goes with the stack", attribute("TrailBucket.DeletionPolicy", "Delete")),
        ("its key goes", attribute("TrailKey.UpdateReplacePolicy", REMOVED)),
    ],
    trail.check_the_trail_alone_writes_into_its_bucket: [
        ("any trail", edit("TrailBucketPolicy", "TheTrailWrites", Condition=REMOVED)),
        ("the account does", edit("TrailBucketPolicy", "TheTrailWrites", Principal={"AWS": "x"})),
        ("it reads, too", edit("TrailBucketPolicy", "TheTrailWrites", Action="s3:GetObject")),
    ],
    trail.check_the_trails_key_serves_the_trail_alone: [
        ("any trail", edit("TrailKey", "TheTrailEncrypts", Condition=REMOVED)),
        ("the trail reads", edit("TrailKey", "TheTrailEncrypts", Action="kms:Decrypt")),
        ("any log", edit("TrailKey", "TheLogServiceReadsAndWrites", Condition=REMOVED)),
        ("without S3", edit("TrailKey", "TheAccountReads", Condition=REMOVED)),
        ("another service", add("TrailKey", Principal={"Service": "x"}, Action="kms:Decrypt")),
    ],
    trail.check_the_trail_alone_writes_its_log: [
        ("any trail", edit("TrailLogRole", "", Condition=REMOVED)),
        ("Lambda does", edit("TrailLogRole", "", Principal={"Service": "lambda.amazonaws.com"})),
        ("into any log", edit("TrailLogPolicy", "WriteTheTrail", Resource="*")),
        ("and deletes", edit("TrailLogPolicy", "WriteTheTrail", Action="logs:DeleteLogStream")),
    ],
    trail.check_filters_read_the_trail_and_the_record: [
        ("another log", prop("KeysEndangeredFilter.LogGroupName", "/x")),
        ("the trail has no canaries", prop("CanaryFilter.LogGroupName", {"Ref": "TrailLogGroup"})),
        ("it counts nothing", prop(f"{TRAIL_FILTER}.MetricValue", "0")),
    ],
    alarms.check_there_is_an_alarm_for_each_trouble: [
        *((f"no {name}", drop(name)) for name in alarms.ALARMS),
        ("on another metric", prop("SealsBrokenAlarm.MetricName", "RowsRead")),
    ],
    alarms.check_somebody_is_told: [
        ("nobody", prop("DeadLettersAlarm.AlarmActions", REMOVED)),
        ("it is silenced", prop("CanariesAskedForAlarm.ActionsEnabled", False)),
        ("nothing to read", prop("CanariesAskedForAlarm.AlarmDescription", "Canary")),
        ("a name of its own", prop("CanariesAskedForAlarm.AlarmName", "canary")),
    ],
    alarms.check_alarms_ring_at_the_first_sign: [
        ("at the third", prop("CanariesAskedForAlarm.Threshold", 2)),
        ("after an hour", prop("VaultUsedByOthersAlarm.EvaluationPeriods", 12)),
        ("a silent trail is well", prop("TrailSilentAlarm.TreatMissingData", "notBreaching")),
        ("a silent watch is well", prop("WatchSilentAlarm.TreatMissingData", REMOVED)),
        ("every quiet minute", prop("DeadLettersAlarm.TreatMissingData", "breaching")),
    ],
    alarms.check_each_period_has_a_look_of_the_watch_in_it: [
        ("as many as looks", prop("UploadsOverdueAlarm.Period", 900)),
    ],
    alarms.check_limits_are_those_of_the_parameters: [
        ("a fixed rate", prop("DetokenizeRateAlarm.Threshold", 1_000_000)),
        ("beyond the timeout", parameter("WorkerTimeoutSeconds.Default", 180)),
        ("at every large file", parameter("WorkerTimeoutSeconds.Default", 155)),
    ],
    alarms.check_all_functions_are_watched: [
        (
            "detokenization is not",
            prop(
                "FunctionErrorsAlarm.Metrics.3.MetricStat.Metric.Dimensions.0.Value", ANOTHER_STACK
            ),
        ),
        (
            "one that rests hides the others",
            prop(
                "FunctionThrottlesAlarm.Metrics.0.Expression",
                "worker + tokenize + detokenize + watch",
            ),
        ),
    ],
    alarms.check_metrics_name_what_the_pipeline_has: [
        ("another queue", prop("DeadLettersAlarm.Dimensions.0.Value", "x")),
        ("no queue", prop("DeadLettersAlarm.Dimensions", REMOVED)),
        ("another table in the dashboard", in_dashboard('"${PipelineStack}-vault"', '"x-vault"')),
    ],
    alarms.check_trail_metrics_are_counted_by_a_filter: [
        ("none does", drop("KeysEndangeredFilter")),
        ("under another name", prop(f"{TRAIL_FILTER}.MetricName", "KeysInDanger")),
        ("elsewhere", prop(f"{TRAIL_FILTER}.MetricNamespace", "Pantok")),
    ],
    alarms.check_alarms_alone_reach_the_topic: [
        ("others' alarms", edit("AlarmTopicPolicy", "AlarmsAreSent", Condition=REMOVED)),
        ("the account", edit("AlarmTopicPolicy", "AlarmsAreSent", Principal={"AWS": "x"})),
        ("they may all", edit("AlarmTopicPolicy", "AlarmsAreSent", Action="sns:*")),
        ("without TLS", remove("AlarmTopicPolicy", "TlsOnly")),
        (
            "with TLS alone not",
            condition("AlarmTopicPolicy", "TlsOnly", "Bool", "aws:SecureTransport", "true"),
        ),
    ],
    alarms.check_alarms_are_encrypted_on_their_way: [
        ("not", prop("AlarmTopic.KmsMasterKeyId", REMOVED)),
        ("the account reads", edit("AlarmKey", "AlarmsAreSent", Principal={"AWS": "x"})),
        ("alarms cannot be sent", remove("AlarmKey", "AlarmsAreSent")),
    ],
    alarms.check_the_dashboard_shows_each_alarm: [
        ("one is missing", in_dashboard("${PipelineStack}-canary", "${PipelineStack}-bird")),
    ],
    alarms.check_widgets_lie_side_by_side: [
        ("one on another", in_dashboard('"y": 10', '"y": 9')),
        ("one outside", in_dashboard('"x": 16', '"x": 17')),
    ],
    alarms.check_the_dashboard_shows_what_the_alarms_look_at: [
        ("not the locked", in_dashboard('"CallersLocked"', '"RequestsRefused"')),
        ("not the oldest", in_dashboard("ApproximateAgeOfOldestMessage", "NumberOfMessagesSent")),
    ],
    queries.check_the_receipts_table_has_every_field_of_a_receipt: [
        ("one is missing", column("ReceiptsTable", lambda columns: columns.pop())),
        (
            "one too many",
            column("ReceiptsTable", lambda columns: columns.append({"Name": "x", "Type": "y"})),
        ),
        (
            "a count is text",
            column("ReceiptsTable", lambda columns: columns[10].update(Type="string")),
        ),
    ],
    queries.check_tables_lie_where_the_data_is: [
        ("elsewhere", prop("ReceiptsTable.TableInput.StorageDescriptor.Location", "s3://x/")),
        (
            "days elsewhere",
            lambda template: _parameters(template).update({"storage.location.template": "s3://x/"}),
        ),
    ],
    queries.check_partitions_are_projected: [
        ("not", lambda template: _parameters(template).update({"projection.enabled": "false"})),
        ("one is not", lambda template: _parameters(template).pop("projection.region.type")),
    ],
    queries.check_queries_are_bounded_and_their_results_closed: [
        ("whoever queries chooses", prop(f"{WORK_GROUP}.EnforceWorkGroupConfiguration", False)),
        ("no limit", prop(f"{WORK_GROUP}.BytesScannedCutoffPerQuery", REMOVED)),
        (
            "open results",
            prop(f"{WORK_GROUP}.ResultConfiguration.EncryptionConfiguration", REMOVED),
        ),
        ("results elsewhere", prop(f"{WORK_GROUP}.ResultConfiguration.OutputLocation", "s3://x/")),
    ],
    queries.check_examples_ask_for_columns_that_there_are: [
        ("one does not", query("FailedFilesQuery", "finished_at", "ended_at")),
        ("without a limit", prop("DeniedQuery.WorkGroup", "primary")),
    ],
    queries.check_results_are_encrypted_with_a_key_of_their_own: [
        (
            "with none",
            prop(f"{RESULTS_ENCRYPTION}.ServerSideEncryptionByDefault", {"SSEAlgorithm": "AES256"}),
        ),
        (
            "with the trail's",
            prop(
                f"{RESULTS_ENCRYPTION}.ServerSideEncryptionByDefault.KMSMasterKeyID",
                {"Fn::GetAtt": ["TrailKey", "Arn"]},
            ),
        ),
    ],
    queries.check_results_go_after_a_while: [
        ("never", prop("ResultsBucket.LifecycleConfiguration.Rules.0.Status", "Disabled")),
    ],
}


def _parameters(template: RawTemplate) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"]["TrailTable"]["Properties"]["TableInput"][
        "Parameters"
    ]
    return found
