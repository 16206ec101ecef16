"""A settlement file goes in, tokens come out: the real template, the real worker process."""

from __future__ import annotations

import csv
import secrets
import shutil
from decimal import Decimal
from math import ceil
from pathlib import Path

import pytest

from pipeline.local import LocalStack
from pipeline.samples.cards import synthetic_pans
from pipeline.samples.rejects import expected_rejects
from tests.e2e.operator import Operator

KYLO = """
name = "kylo"
[columns.cc]
role = "pan"
empty = "{empty}"
[columns.id]
role = "keep"
type = "integer"
[columns.country]
role = "keep"
[columns.salary]
role = "keep"
type = "decimal(12,2)"
[options]
customer_id = "email"
"""

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="session")
def operator(local_stack: LocalStack) -> Operator:
    operator = Operator(local_stack)
    operator.add_layout("kylo", KYLO.format(empty="keep"))
    strict = KYLO.format(empty="reject").replace('"kylo"', '"kylo-strict"')
    operator.add_layout("kylo-strict", strict)
    return operator


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_thousand_people_come_out_with_tokens_that_open_to_what_went_in(
    operator: Operator, shared_data: Path
) -> None:
    file = shared_data / "kylo_userdata1.csv"
    people = _rows(file)

    receipt = operator.tokenize(file, "kylo")
    output = operator.output(receipt)

    assert receipt["status"] == "committed"
    assert (receipt["rows_read"], receipt["rows_written"], receipt["rows_rejected"]) == (
        1000,
    ) * 2 + (0,)
    assert receipt["pans_distinct"] == 709
    assert output.column_names == ["id", "cc_token", "cc_last4", "country", "salary"]
    assert output["id"].to_pylist() == [int(person["id"]) for person in people]
    assert output["country"].to_pylist() == [person["country"] or None for person in people]
    salaries = [Decimal(person["salary"]) if person["salary"] else None for person in people]
    assert output["salary"].to_pylist() == salaries
    cards = [person["cc"] for person in people]
    tokens = output["cc_token"].to_pylist()
    assert [token is None for token in tokens] == [not card for card in cards]
    opened = operator.open([token for token in tokens if token])
    assert opened == [card for card in cards if card]
    assert len(opened) == 709
    assert sum(card.startswith("0") for card in opened) == 2
    assert output["cc_last4"].to_pylist() == [card[-4:] or None for card in cards]


def test_the_same_file_under_another_name_costs_no_token_and_no_write(
    operator: Operator, shared_data: Path, tmp_path: Path
) -> None:
    first = operator.tokenize(shared_data / "kylo_userdata1.csv", "kylo")
    vault, fingerprints = operator.items("VaultTable"), operator.items("FingerprintsTable")
    again = shutil.copy(shared_data / "kylo_userdata1.csv", tmp_path / "another name (1).csv")

    second = operator.tokenize(Path(again), "kylo")

    assert (second["tokens_new"], second["tokens_reused"]) == (0, 709)
    assert second["aws_calls"]["dynamodb"]["BatchGetItem"] == ceil(709 / 100)
    assert "BatchExecuteStatement" not in second["aws_calls"]["dynamodb"]
    assert "GenerateDataKey" not in second["aws_calls"].get("kms", {})
    assert operator.output(second).equals(operator.output(first))
    assert len(operator.items("VaultTable")) == len(vault)
    assert len(operator.items("FingerprintsTable")) == len(fingerprints)


def test_empty_cells_are_rejected_when_the_layout_says_so(
    operator: Operator, shared_data: Path
) -> None:
    receipt = operator.tokenize(shared_data / "kylo_userdata1.csv", "kylo-strict")

    assert (receipt["rows_read"], receipt["rows_written"]) == (1000, 709)
    assert receipt["rejects_by_reason"] == {"pan_empty": 291}
    assert receipt["rejects_uris"][0].startswith(
        f"s3://{operator.stack.outputs['QuarantineBucket']}/"
    )


def test_the_first_sight_of_a_card_names_its_customer(
    operator: Operator, shared_data: Path
) -> None:
    receipt = operator.tokenize(shared_data / "kylo_userdata1.csv", "kylo")
    tokens = operator.output(receipt)["cc_token"].to_pylist()

    customers = {
        item["token"]["S"]: item["metadata"]["M"].get("customer_id", {}).get("S")
        for item in operator.items("VaultTable")
    }

    emails = [person["email"] or None for person in _rows(shared_data / "kylo_userdata1.csv")]
    expected = {token: email for token, email in zip(tokens, emails, strict=True) if token}
    assert {token: customers[token] for token in expected} == expected


def test_published_test_numbers_are_tokenized_as_they_are_grouped(
    operator: Operator, shared_data: Path
) -> None:
    operator.add_layout(
        "published",
        'name = "published"\n[columns.number_as_published]\nrole = "pan"\n'
        '[columns.brand]\nrole = "keep"\n',
    )
    numbers = _rows(shared_data / "public_test_pans.csv")

    receipt = operator.tokenize(shared_data / "public_test_pans.csv", "published")

    assert (receipt["rows_read"], receipt["rows_written"]) == (82, 82)
    assert receipt["luhn_failed"] == 3
    tokens = operator.output(receipt)["number_as_published_token"].to_pylist()
    assert operator.open(tokens) == [number["digits"] for number in numbers]


def test_a_trailer_that_disagrees_fails_the_file(operator: Operator, sample_data: Path) -> None:
    receipt = operator.tokenize(sample_data / "acquirer_pipe_wrong_trailer.txt", "acquirer-pipe")

    assert (receipt["status"], receipt["reason"]) == ("failed", "trailer_mismatch")
    assert receipt["outputs"] == []
    letters = operator.pantok_json("dlq", "list", "--reason", "trailer_mismatch")
    assert receipt["job_id"] in [letter["job_id"] for letter in letters]


def test_every_reject_reason_is_counted_and_its_row_kept_for_repair(
    operator: Operator, sample_data: Path
) -> None:
    receipt = operator.tokenize(sample_data / "every_reject.csv", "every-reject")

    assert receipt["rejects_by_reason"] == expected_rejects()
    assert receipt["rows_read"] == receipt["rows_written"] + receipt["rows_rejected"] == 36


def test_a_dead_letter_is_replayed_once_its_layout_is_there(
    operator: Operator, sample_data: Path
) -> None:
    failed = operator.tokenize(sample_data / "acme_unknown.csv", "acme")
    assert failed["reason"] == "unknown_layout"
    letter = next(
        each for each in operator.pantok_json("dlq", "list") if each["job_id"] == failed["job_id"]
    )
    shown = operator.pantok_json("dlq", "show", letter["id"])
    assert shown["detail"] == "no layout acme: add acme.toml"

    assert (
        operator.pantok("layouts", "add", str(sample_data / "layouts" / "acme.toml")).returncode
        == 0
    )
    replayed = operator.pantok_json("dlq", "replay", letter["id"])

    assert [each["id"] for each in replayed["replayed"]] == [letter["id"]]
    receipt = operator.committed(failed["job_id"])
    assert (receipt["rows_read"], receipt["rows_written"]) == (120, 120)
    remaining = [each["id"] for each in operator.pantok_json("dlq", "list")]
    assert letter["id"] not in remaining


def test_the_source_is_tagged_for_its_lifecycle(operator: Operator, sample_data: Path) -> None:
    receipt = operator.tokenize(sample_data / "unnamed_columns.csv", None)
    bucket, _, key = receipt["source"]["uri"].removeprefix("s3://").partition("/")

    tags = operator.stack.client("s3").get_object_tagging(
        Bucket=bucket, Key=key, VersionId=receipt["source"]["version_id"]
    )

    assert tags["TagSet"] == [{"Key": "pantok", "Value": "tokenized"}]


def test_cloudtrail_ties_the_data_key_to_its_job(operator: Operator, tmp_path: Path) -> None:
    pan = synthetic_pans(1, seed=secrets.randbelow(2**31))[0]  # a known card needs no data key
    file = tmp_path / "one_card.csv"
    file.write_text(f"card\n{pan}\n")

    receipt = operator.tokenize(file, None)

    events = operator.stack.client("cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "GenerateDataKey"}]
    )["Events"]
    assert any(receipt["job_id"] in event["CloudTrailEvent"] for event in events)
    assert not any(pan in event["CloudTrailEvent"] for event in events)
