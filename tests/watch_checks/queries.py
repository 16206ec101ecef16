"""Queries: over tables that are where the data is, into results that are closed, up to a limit."""

from __future__ import annotations

import re
from typing import Any

from pipeline.core.receipts import JobFacts, failed_receipt
from tests.template import ACCOUNT, Template, pipeline_template

NUMBERS = {int: {"bigint"}, float: {"double"}}


def receipt() -> dict[str, Any]:
    """A receipt as the code writes it."""
    facts = JobFacts(
        *("job", "layout", "s3://x", "v1", None, None, None, None, "2026", "2026"), seconds=0.0
    )
    return failed_receipt(facts, "reason", "")


def columns(template: Template, table: str) -> dict[str, str]:
    storage = template.properties(table)["TableInput"]["StorageDescriptor"]
    return {column["Name"]: column["Type"] for column in storage["Columns"]}


def check_the_receipts_table_has_every_field_of_a_receipt(template: Template) -> list[str]:
    fields, table = receipt(), columns(template, "ReceiptsTable")
    findings = [f"{name}" for name in fields.keys() ^ table.keys()]
    for name in fields.keys() & table.keys():
        expected = NUMBERS.get(type(fields[name]))
        if expected is not None and table[name] not in expected:
            findings.append(f"{name} is {table[name]}")
    return findings


def check_tables_lie_where_the_data_is(template: Template) -> list[str]:
    pipeline = pipeline_template()
    trail = f"s3://{template.name('TrailBucket')}/AWSLogs/{ACCOUNT}/CloudTrail/"
    expected = {
        "ReceiptsTable": f"s3://{pipeline.name('TokenizedBucket')}/receipts/",
        "TrailTable": trail,
    }
    findings = []
    for table, properties in template.of_type("AWS::Glue::Table").items():
        location = properties["TableInput"]["StorageDescriptor"]["Location"]
        if location != expected[table]:
            findings.append(f"{table}: {location}")
    parameters = template.properties("TrailTable")["TableInput"]["Parameters"]
    if parameters["storage.location.template"] != trail + "${region}/${day}":
        findings.append(parameters["storage.location.template"])
    return findings


def check_partitions_are_projected(template: Template) -> list[str]:
    findings = []
    for table, properties in template.of_type("AWS::Glue::Table").items():
        wanted = properties["TableInput"].get("Parameters", {})
        for key in properties["TableInput"].get("PartitionKeys", []):
            if f"projection.{key['Name']}.type" not in wanted:
                findings.append(f"{table}: {key['Name']} is not projected")
            if f"${{{key['Name']}}}" not in wanted.get("storage.location.template", ""):
                findings.append(f"{table}: {key['Name']} is not in its places")
            if wanted.get("projection.enabled") != "true":
                findings.append(f"{table}: projection is off")
    return findings


def check_queries_are_bounded_and_their_results_closed(template: Template) -> list[str]:
    settings = template.properties("WorkGroup")["WorkGroupConfiguration"]
    results = settings.get("ResultConfiguration", {})
    expected = {
        "EncryptionOption": "SSE_KMS",
        "KmsKey": template.arn("ResultsKey"),
    }
    findings = []
    if settings.get("EnforceWorkGroupConfiguration") is not True:
        findings.append("whoever queries may choose another place")
    if settings.get("BytesScannedCutoffPerQuery") != template.parameter_value(
        "QueryScanLimitBytes"
    ):
        findings.append("a query may read everything")
    if results.get("EncryptionConfiguration") != expected:
        findings.append(f"results: {results.get('EncryptionConfiguration')}")
    if results.get("OutputLocation") != f"s3://{template.name('ResultsBucket')}/":
        findings.append(f"results: {results.get('OutputLocation')}")
    return findings


def check_examples_ask_for_columns_that_there_are(template: Template) -> list[str]:
    """Each query runs in our work group and database, over tables of ours, on columns of theirs."""
    tables = {
        properties["TableInput"]["Name"]: columns(template, table)
        | {key["Name"]: "string" for key in properties["TableInput"].get("PartitionKeys", [])}
        for table, properties in template.of_type("AWS::Glue::Table").items()
    }
    findings = []
    queries = template.of_type("AWS::Athena::NamedQuery")
    for name, properties in queries.items():
        sql = properties["QueryString"]
        if properties["WorkGroup"] != template.name("WorkGroup"):
            findings.append(f"{name}: without a limit")
        (table,) = re.findall(r"\bFROM (\w+)", sql)
        findings += [f"{name}: {word} of {table}" for word in unknown(sql, tables[table])]
    return findings if queries else ["no examples"]


SQL = """
    any_match array as asc and bigint by cast count cross current_date current_timestamp date_format
    day desc from from_iso8601_timestamp group interval is join like limit map_values max min not
    null or order reduce round select substr sum unnest where
"""
# Fields of structures, and what lambdas call their arguments.
NAMES = "arn n part rejects resource rows sessioncontext sessionissuer total"
SQL_WORDS = frozenset(f"{SQL} {NAMES}".split())


def unknown(sql: str, known: dict[str, str]) -> set[str]:
    """Words that are neither SQL's nor a column's nor named by the query itself."""
    text = re.sub(r"'[^']*'", "", sql)
    named = set(re.findall(r"\b(?:AS|as) (\w+)", text))
    for several in re.findall(r"AS \w+ \(([^)]*)\)", text):
        named |= set(re.findall(r"\w+", several))
    words = set(re.findall(r"\b[a-z_]\w*\b", text.lower()))
    tables = set(re.findall(r"\bfrom (\w+)", text.lower()))
    return words - SQL_WORDS - known.keys() - {each.lower() for each in named} - tables


def check_results_are_encrypted_with_a_key_of_their_own(template: Template) -> list[str]:
    encryption = template.properties("ResultsBucket")["BucketEncryption"]
    (rule,) = encryption["ServerSideEncryptionConfiguration"]
    expected = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": template.arn("ResultsKey")}
    found = rule["ServerSideEncryptionByDefault"]
    return [] if found == expected and rule.get("BucketKeyEnabled") is True else [f"{rule}"]


def check_results_go_after_a_while(template: Template) -> list[str]:
    rules = template.raw["Resources"]["ResultsBucket"]["Properties"]["LifecycleConfiguration"][
        "Rules"
    ]
    kept = [rule.get("ExpirationInDays") for rule in rules if rule["Status"] == "Enabled"]
    return [] if {"Ref": "QueryResultDays"} in kept else [f"{kept}"]
