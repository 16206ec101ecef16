"""A call has a price: a file makes exactly the calls that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from pipeline.local import LocalStack
from pipeline.samples.cards import synthetic_pans
from tests.e2e.operator import Operator

pytestmark = pytest.mark.e2e

LAYOUT = 'name = "calls"\nscope = "calls"\n[columns.card]\nrole = "pan"\n'


@pytest.fixture(scope="module")
def operator(local_stack: LocalStack) -> Operator:
    operator = Operator(local_stack)
    operator.add_layout("calls", LAYOUT)
    return operator


def _tokenize(operator: Operator, folder: Path, pans: list[str]) -> Mapping[str, Any]:
    file = folder / "cards.csv"
    file.write_text("card\n" + "\n".join(pans) + "\n")
    calls: Mapping[str, Any] = operator.tokenize(file, "calls")["aws_calls"]
    return calls


S3_CALLS = {
    "GetObject": 3,  # the rules for folders, the layout and the file
    "HeadObject": 1,
    "PutObject": 1,
}


def test_new_cards_cost_one_data_key_and_two_inserts_for_each_twenty_five(
    operator: Operator, tmp_path: Path
) -> None:
    _tokenize(operator, tmp_path, synthetic_pans(1, seed=901))  # the worker is warm after this
    pans = synthetic_pans(230, seed=902)

    calls = _tokenize(operator, tmp_path, pans + pans[:70])

    assert calls["kms"]["GenerateDataKey"] == 1
    assert calls["dynamodb"]["BatchGetItem"] == ceil(230 / 100)
    assert calls["dynamodb"]["BatchExecuteStatement"] == 2 * ceil(230 / 25) + 1
    assert calls["s3"] == S3_CALLS


def test_known_cards_cost_look_ups_only(operator: Operator, tmp_path: Path) -> None:
    pans = synthetic_pans(230, seed=903)
    _tokenize(operator, tmp_path, pans)

    calls = _tokenize(operator, tmp_path, pans[::-1])

    # A worker that is new reads the wrapped fingerprint key first.
    dynamodb = {name: count for name, count in calls["dynamodb"].items() if name != "GetItem"}
    assert dynamodb == {"BatchGetItem": 3, "UpdateItem": 2}  # started; content claimed
    assert "GenerateDataKey" not in calls.get("kms", {})
    assert calls["s3"] == S3_CALLS


def test_known_and_new_cards_together_cost_what_each_of_them_costs(
    operator: Operator, tmp_path: Path
) -> None:
    pans = synthetic_pans(150, seed=904)
    _tokenize(operator, tmp_path, pans[:100])

    calls = _tokenize(operator, tmp_path, pans)

    assert calls["kms"]["GenerateDataKey"] == 1
    assert calls["dynamodb"]["BatchGetItem"] == 2
    assert calls["dynamodb"]["BatchExecuteStatement"] == 2 * ceil(50 / 25) + 1
