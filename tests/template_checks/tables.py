"""Tables: on demand, recoverable, encrypted, hard to delete."""

from tests.template import WARM_UNITS, Template

KEYS = {
    "VaultTable": ("token", "S"),
    "FingerprintsTable": ("fingerprint", "B"),
    "DataKeysTable": ("data_key_id", "S"),
    "JobsTable": ("job_id", "S"),
    "GrantsTable": ("name", "S"),
    "LimitsTable": ("counter", "S"),
}


def check_tables_have_their_keys(template: Template) -> list[str]:
    findings = []
    for table, (name, kind) in KEYS.items():
        properties = template.properties(table)
        if properties["KeySchema"] != [{"AttributeName": name, "KeyType": "HASH"}]:
            findings.append(f"{table}: {properties['KeySchema']}")
        if properties["AttributeDefinitions"] != [{"AttributeName": name, "AttributeType": kind}]:
            findings.append(f"{table}: {properties['AttributeDefinitions']}")
    return findings


def check_tables_are_paid_by_request(template: Template) -> list[str]:
    return [
        f"{table} has fixed capacity"
        for table, properties in template.of_type("AWS::DynamoDB::Table").items()
        if properties.get("BillingMode") != "PAY_PER_REQUEST"
    ]


def check_the_busy_tables_can_be_warmed(template: Template) -> list[str]:
    findings = []
    for table in ("Vault", "Fingerprints"):
        expected = {
            "ReadUnitsPerSecond": WARM_UNITS[f"{table}WarmReadUnits"],
            "WriteUnitsPerSecond": WARM_UNITS[f"{table}WarmWriteUnits"],
        }
        found = template.properties(f"{table}Table").get("WarmThroughput")
        if found != expected:
            findings.append(f"{table}: {found}")
    return findings


def check_no_table_is_warmed_unasked(template: Template) -> list[str]:
    """Warming costs, and cannot be taken back."""
    unasked = Template(template.raw, parameter_values={})
    return [
        f"{table}: {properties['WarmThroughput']}"
        for table, properties in unasked.of_type("AWS::DynamoDB::Table").items()
        if "WarmThroughput" in properties
    ]


def check_tables_can_be_restored(template: Template) -> list[str]:
    return [
        f"{table} cannot be restored"
        for table, properties in template.of_type("AWS::DynamoDB::Table").items()
        if properties.get("PointInTimeRecoverySpecification")
        != {"PointInTimeRecoveryEnabled": True}
    ]


def check_tables_encrypt_with_kms(template: Template) -> list[str]:
    return [
        f"{table} does not encrypt with KMS"
        for table, properties in template.of_type("AWS::DynamoDB::Table").items()
        if properties.get("SSESpecification", {}).get("SSEEnabled") is not True
        or properties["SSESpecification"].get("SSEType") != "KMS"
    ]


def check_tables_are_protected_by_default(template: Template) -> list[str]:
    findings = []
    for table, resource in template.raw["Resources"].items():
        protection = resource.get("Properties", {}).get("DeletionProtectionEnabled")
        if resource["Type"] != "AWS::DynamoDB::Table":
            continue
        if protection != {"Ref": "TableDeletionProtection"}:
            findings.append(f"{table}: {protection}")
    if template.parameters["TableDeletionProtection"]["Default"] != "true":
        findings.append("off by default")
    return findings


def check_only_the_ledger_and_the_limits_forget(template: Template) -> list[str]:
    expected = {"AttributeName": "expires_at", "Enabled": True}
    return [
        f"{table}: {properties.get('TimeToLiveSpecification')}"
        for table, properties in template.of_type("AWS::DynamoDB::Table").items()
        if properties.get("TimeToLiveSpecification")
        != (expected if table in ("JobsTable", "LimitsTable") else None)
    ]
