"""Ours and what one would write otherwise, on the local stack: an illustration, not a measure.

The stack's services answer in the time that their emulation takes, and share the machine's cores
with who asks them. What shows is what it costs to ask for each card.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.files import LAYOUT, LAYOUT_NAME, settlement_file
from benchmarks.rivals import KEY_ALIAS, RIVALS, TABLE
from pipeline.cli.session import Deployment
from pipeline.cli.uploads import put_files, wait_for_receipts
from pipeline.local import LocalStack, down, up

_TIMEOUT_SECONDS = 600.0


def cards_per_second(cards: int, rival_cards: int) -> dict[str, float]:
    """New cards a second, by contender; ours from the upload to the receipt, every row a card."""
    with tempfile.TemporaryDirectory() as name, _local_stack(Path(name)) as stack:
        found = {"pantok, upload to receipt": cards / _seconds_of_upload(stack, Path(name), cards)}
        _prepare(stack)
        for rival, tokenize in RIVALS.items():
            start = time.perf_counter()
            tokenize(rival_cards)
            found[rival] = rival_cards / (time.perf_counter() - start)
    return found


@contextmanager
def _local_stack(folder: Path) -> Iterator[LocalStack]:
    stack = up(folder / "stack", report=lambda _: None)
    before = dict(os.environ)
    os.environ |= {
        "AWS_ENDPOINT_URL": stack.endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        yield stack
    finally:
        os.environ.clear()
        os.environ |= before
        down(folder / "stack", report=lambda _: None, keep_data=False)


def _seconds_of_upload(stack: LocalStack, folder: Path, cards: int) -> float:
    stack.client("s3").put_object(
        Bucket=stack.outputs["QuarantineBucket"], Key=f"layouts/{LAYOUT_NAME}.toml", Body=LAYOUT
    )
    deployment = Deployment("local", stack.session(), stack.outputs)
    file = settlement_file(folder, cards, cards)
    start = time.perf_counter()
    uploads = put_files(deployment, [file], LAYOUT_NAME)
    (receipt,) = wait_for_receipts(deployment, uploads, _TIMEOUT_SECONDS)
    seconds = time.perf_counter() - start
    if receipt["tokens_new"] != cards:
        raise SystemExit(f"{cards} cards came to {receipt['tokens_new']} tokens")
    return seconds


def _prepare(stack: LocalStack) -> None:
    """A key and a table for the others."""
    kms = stack.client("kms")
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=KEY_ALIAS, TargetKeyId=key_id)
    stack.client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "token", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "token", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
