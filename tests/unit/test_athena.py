"""Tables for Athena: where a layout's output is, with the columns that it really has."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipeline.aws.layout_catalogue import built_in_layout, built_in_names
from pipeline.cli.main import app
from pipeline.core.athena import athena_type, glue_table, table_statement, view_statement
from pipeline.core.layout_documents import parse_layout
from pipeline.job import Worker, run_job
from pipeline.keys import FingerprintKey
from pipeline.testing import MemoryLayouts, MemoryWorld

BUCKET = "pantok-tokenized-1"
# A sample for each built-in layout that there is one for.
SAMPLES = {
    "card-present": "card_present.csv",
    "acquirer-pipe": "acquirer_pipe.txt",
    "amex-grrcn": "amex_grrcn.csv",
    "amex-grrcn-fixed": "amex_grrcn.txt",
    "every-reject": "every_reject.csv",
    "visa-ctf": "visa_ctf.txt",
    "visa-itf": "visa_itf.bin",
    "mastercard-ipm": "mastercard_ipm.bin",
    "mastercard-ipm-ebcdic": "mastercard_ipm_ebcdic.bin",
    "mastercard-ipm-ebcdic-blocked": "mastercard_ipm_ebcdic_blocked.bin",
    "nacha-shr": "nacha_shr.txt",
    "mainframe-ebcdic": "mainframe_ebcdic.bin",
    "card-present-jsonl": "card_present.jsonl",
    "card-present-json": "card_present.json",
    "card-present-parquet": "card_present.parquet",
    "card-present-orc": "card_present.orc",
    "card-present-avro": "card_present.avro",
    "card-present-xlsx": "card_present.xlsx",
}


def output_of(name: str, file: Path) -> tuple[str, dict[str, str]]:
    """Where the worker puts what becomes of the file, and the columns of it."""
    world = MemoryWorld(os.urandom, MemoryLayouts((built_in_layout(name) or b"").decode()))
    ports = world.ports()
    key = FingerprintKey(ports.key_service, ports.data_key_records, ports.clock)
    upload = world.quarantine.put(f"incoming/{name}/{file.name}", file.read_bytes())
    receipt = run_job(upload, Worker(ports, key.fingerprinter, 1.0), lambda: 900.0)
    assert not isinstance(receipt, str)
    uri = receipt["outputs"][0]["uri"]
    schema = pq.read_schema(io.BytesIO(world.tokenized.objects[uri]))
    return uri, {field.name.lower(): athena_type(field.type) for field in schema}


def test_every_built_in_layout_has_a_sample_here() -> None:
    assert set(built_in_names()) == SAMPLES.keys()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_table_has_the_columns_of_the_parquet_that_it_is_for(
    name: str, sample_data: Path
) -> None:
    layout = parse_layout(built_in_layout(name) or b"", name)
    uri, columns = output_of(name, sample_data / SAMPLES[name])
    table = glue_table(layout, "tokenized")
    declared = {each["Name"]: each["Type"] for each in table["StorageDescriptor"]["Columns"]}

    assert columns.items() <= declared.items()
    place = table["Parameters"]["storage.location.template"].replace("${file_date}", r"[0-9-]{10}")
    assert re.match(place, uri)


def test_the_statement_in_full() -> None:
    layout = parse_layout(
        b'name = "acme-2"\n[columns.pan]\nrole = "pan"\n[columns."a.b"]\nrole = "keep"\n'
        b'[columns.amount]\nrole = "keep"\ntype = "decimal(12,2)"\n'
        b'[columns.file_date]\nrole = "keep"\ntype = "date"\n'
    )
    assert table_statement(layout, BUCKET) == (
        "-- not in it: a.b\n"
        "CREATE EXTERNAL TABLE `acme_2` (\n"
        "  `pan_token` string,\n"
        "  `pan_last4` string,\n"
        "  `amount` decimal(12,2),\n"
        "  `file_date` date\n"
        ")\n"
        "PARTITIONED BY (`file_date_` string)\n"
        "STORED AS PARQUET\n"
        f"LOCATION 's3://{BUCKET}/data/layout=acme-2/'\n"
        "TBLPROPERTIES (\n"
        "  'projection.enabled' = 'true',\n"
        "  'projection.file_date_.type' = 'date',\n"
        "  'projection.file_date_.format' = 'yyyy-MM-dd',\n"
        "  'projection.file_date_.range' = '2025-01-01,NOW',\n"
        f"  'storage.location.template' = 's3://{BUCKET}/data/layout=acme-2/date=${{file_date_}}'\n"
        ")"
    )


def test_the_view_shows_committed_jobs_alone_and_plain_names() -> None:
    layout = parse_layout(
        b'name = "acme"\n[columns."card.pan"]\nrole = "pan"\n[columns.job_id]\nrole = "keep"\n'
    )
    assert view_statement(layout) == (
        'CREATE OR REPLACE VIEW "acme_committed" AS\n'
        "SELECT * FROM (\n"
        '  SELECT "job_id", "file_date", "card.pan_token" AS "card_pan_token", '
        '"card.pan_last4" AS "card_pan_last4",\n'
        '    regexp_extract("$path", \'job_[a-z2-7]{26}\') AS "job_id_"\n'
        '  FROM "acme")\n'
        "WHERE \"job_id_\" IN (SELECT job_id FROM receipts WHERE status = 'committed')"
    )


def test_the_command_prints_statement_view_or_what_glue_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PANTOK_LOCAL_DIR", str(tmp_path / "none"))

    def run(*more: str) -> str:
        arguments = ["layouts", "athena", "card-present", "--bucket", BUCKET, *more]
        return CliRunner().invoke(app, arguments).stdout

    assert run().startswith("CREATE EXTERNAL TABLE `card_present` (\n  `card_number_token` string")
    assert run("--view").startswith('CREATE OR REPLACE VIEW "card_present_committed"')
    assert json.loads(run("--json"))["Name"] == "card_present"
