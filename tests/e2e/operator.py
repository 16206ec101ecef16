"""What a user does, done by a program: uploads, receipts, vault, dead letters."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.aws.dynamodb_vault import DynamoDBDataKeys
from pipeline.aws.kms_keys import KMSKeys
from pipeline.cli.session import Deployment
from pipeline.cli.uploads import put_files, wait_for_receipts
from pipeline.detokenize import detokenize
from pipeline.local import LocalStack
from pipeline.model import SealedPan

TIMEOUT_SECONDS = 90.0


@dataclass(frozen=True)
class Operator:
    stack: LocalStack

    @property
    def target(self) -> Deployment:
        return Deployment("local", self.stack.session(), self.stack.outputs)

    def add_layout(self, name: str, document: str) -> None:
        self.stack.client("s3").put_object(
            Bucket=self.stack.outputs["QuarantineBucket"],
            Key=f"layouts/{name}.toml",
            Body=document.encode(),
        )

    def tokenize(self, file: Path, layout: str | None) -> Mapping[str, Any]:
        uploads = put_files(self.target, [file], layout)
        return wait_for_receipts(self.target, uploads, TIMEOUT_SECONDS)[0]

    def committed(self, job_id: str) -> Mapping[str, Any]:
        """The job's receipt once it is committed, which a replay makes of a failed one."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            receipt = self.target.tokenized.get_receipt(job_id)
            if receipt and receipt["status"] == "committed":
                return receipt
            time.sleep(0.2)
        raise AssertionError(f"{job_id} was not committed in time")

    def letter_of(self, job_id: str) -> Mapping[str, Any]:
        """The job's dead letter, once there is one."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            with self.target.dead_letters.letters() as held:
                for each in held:
                    if each.letter["job_id"] == job_id:
                        return each.letter
            time.sleep(0.2)
        raise AssertionError(f"there is no letter of {job_id}")

    def output(self, receipt: Mapping[str, Any]) -> pa.Table:
        return pa.concat_tables(
            [pq.read_table(io.BytesIO(self.read(each["uri"]))) for each in receipt["outputs"]]
        )

    def read(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body: bytes = self.stack.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def open(self, tokens: Sequence[str]) -> list[str]:
        dynamodb = self.stack.client("dynamodb")
        records = DynamoDBDataKeys(dynamodb, self.stack.outputs["DataKeysTable"])
        keys = KMSKeys(self.stack.client("kms"), self.stack.outputs["VaultKeyArn"])
        pans = detokenize(tokens, _VaultScan(self.items("VaultTable")), records, keys)
        return [pan.decode() for pan in pans.digits]

    def items(self, table: str) -> list[dict[str, Any]]:
        scan = self.stack.client("dynamodb").get_paginator("scan")
        pages = scan.paginate(TableName=self.stack.outputs[table])
        return [item for page in pages for item in page["Items"]]

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        s3, name = self.stack.client("s3"), self.stack.outputs[bucket]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {key: s3.get_object(Bucket=name, Key=key)["Body"].read() for key in keys}

    def pantok(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from pipeline.cli.main import main; main()", *arguments],
            env={"PANTOK_LOCAL_DIR": str(self.stack.state_dir), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def pantok_json(self, *arguments: str) -> Any:
        return json.loads(self.pantok(*arguments, "--json").stdout)


class _VaultScan:
    def __init__(self, items: Sequence[Mapping[str, Any]]) -> None:
        self._rows = {
            item["token"]["S"]: SealedPan(
                token=item["token"]["S"],
                ciphertext=item["ciphertext"]["B"],
                data_key_id=item["data_key_id"]["S"],
                created_at=item["created_at"]["S"],
                metadata={name: value["S"] for name, value in item["metadata"]["M"].items()},
            )
            for item in items
        }

    def get(self, tokens: Sequence[str]) -> Mapping[str, SealedPan]:
        return {token: self._rows[token] for token in tokens if token in self._rows}
