"""The Lambda package alone: its entry points in an interpreter without any other library."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.tags import platform_tags

from infra.artifact.build import requirements_of
from infra.artifact.target import MACHINES, Target
from pipeline.local import LocalStack
from pipeline.samples.cards import synthetic_pans
from pipeline.testing import s3_event, sqs_event
from tests import bare
from tests.bare import BarePackage, ThisPlatform

# What each of them needs of the package is another part of it: C extensions, shared libraries,
# code pages, decompression, built-in layouts.
SAMPLES = {
    "card_present.csv.gz": "card-present",
    "card_present.jsonl": "card-present-jsonl",
    "card_present.parquet": "card-present-parquet",
    "card_present.orc": "card-present-orc",
    "card_present.avro": "card-present-avro",
    "card_present.xlsx": "card-present-xlsx",
    "mastercard_ipm_ebcdic_blocked.bin": "mastercard-ipm-ebcdic-blocked",
    "mainframe_ebcdic.bin": "mainframe-ebcdic",
    "acme_unknown.csv": "acme",
}


@pytest.fixture(scope="module")
def package(local_stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> BarePackage:
    return bare.bare_package(tmp_path_factory.mktemp("bare") / "package", local_stack)


def test_the_worker_reads_every_kind_of_file(package: BarePackage, sample_data: Path) -> None:
    bucket, s3 = bare.new_bucket(package.stack), package.stack.client("s3")
    acme = (sample_data / "layouts" / "acme.toml").read_bytes()
    s3.put_object(Bucket=bucket, Key="layouts/acme.toml", Body=acme)
    uploads = [
        bare.upload(package.stack, bucket, sample_data / name, layout)
        for name, layout in SAMPLES.items()
    ]

    event = sqs_event(*map(s3_event, uploads))
    outcome = package.call(bare.WORKER, event, **bare.places_in(bucket))

    assert outcome["answers"] == [{"batchItemFailures": []}]
    for upload in uploads:
        stored = s3.get_object(Bucket=bucket, Key=f"receipts/{upload.job_id}.json")
        receipt = json.loads(stored["Body"].read())
        assert (receipt["status"], receipt["reason"]) == ("committed", None), upload.key
        assert receipt["rows_written"] > 0


def test_cards_go_in_at_one_function_and_come_out_at_the_other(package: BarePackage) -> None:
    grants = bare.granting_table(package.stack)
    pans = synthetic_pans(3, seed=77)

    cards = bare.posted("/tokenize", {"items": [{"pan": pan} for pan in pans]})
    [answer] = package.call(bare.TOKENIZE, cards, PANTOK_GRANTS_TABLE=grants)["answers"]
    tokens = [each["token"] for each in bare.results_of(answer)]
    asked = {"tokens": tokens, "purpose": "chargeback", "view": "full"}
    [answer] = package.call(
        bare.DETOKENIZE, bare.posted("/detokenize", asked), PANTOK_GRANTS_TABLE=grants
    )["answers"]

    assert [each["pan"] for each in bare.results_of(answer)] == pans


@pytest.fixture
def answers() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The address that CloudFormation would sign, and what is put there."""
    put: list[dict[str, str]] = []

    class Address(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            put.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Address) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/answer", put
        server.shutdown()


def test_the_fingerprint_key_is_made(
    package: BarePackage, answers: tuple[str, list[dict[str, str]]]
) -> None:
    address, put = answers
    data_keys = bare.new_table(package.stack, "data_key_id")
    event = {
        "RequestType": "Create",
        "ResponseURL": address,
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "FingerprintDataKey",
        "ResourceProperties": {
            "DataKeyId": "fingerprint-1",
            "DataKeysTable": data_keys,
            "KeyArn": package.stack.outputs["FingerprintKeyArn"],
        },
    }

    package.call(bare.KEY_SETUP, event)

    assert [each["Status"] for each in put] == ["SUCCESS"]
    assert package.stack.client("dynamodb").scan(TableName=data_keys)["Count"] == 1


def test_every_entry_point_of_the_deployment_starts(package: BarePackage) -> None:
    assert {bare.WORKER, bare.TOKENIZE, bare.DETOKENIZE, bare.KEY_SETUP} <= set(package.settings)
    for entry_point in package.settings:
        assert package.call(entry_point)["answers"] == []


def test_every_module_comes_as_bytecode_that_is_used(package: BarePackage) -> None:
    modules = set(package.folder.rglob("*.py"))
    cached = {
        path.parent.parent / f"{path.name.split('.')[0]}.py"
        for path in package.folder.rglob("*.pyc")
    }
    assert modules == cached
    for path in package.folder.glob("pipeline/handlers/*.py"):
        path.write_text("raise RuntimeError('compiled once more')")
    package.call(bare.KEY_SETUP)


@pytest.mark.parametrize("architecture", sorted(MACHINES))
def test_what_is_built_for_another_platform_to_run_here_is_the_same_but_for_its_wheels(
    architecture: str,
) -> None:
    here, there = ThisPlatform("here"), Target(architecture)
    assert requirements_of(here, ["formats"]) == requirements_of(there, ["formats"])
    assert here.platforms == list(platform_tags())
    assert all(each.startswith("manylinux") for each in there.platforms)
