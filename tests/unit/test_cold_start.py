"""What a function loads before it is first called: nothing that it may never need."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LOADED = """
import importlib, json, os, sys
opened = []
sys.addaudithook(lambda event, _: event == "socket.connect" and opened.append(event))
importlib.import_module(sys.argv[1])
print(json.dumps([sorted(sys.modules), opened]))
"""
# What takes a tenth of a start, or of the package. Not numpy: Arrow loads it where it is installed,
# and in the package it is not.
HEAVY = frozenset(
    {"aws_lambda_powertools", "boto3", "cryptography", "pyarrow", "pydantic", "smart_open"}
    | {"pyarrow.dataset", "pyarrow.orc", "fastavro", "pysequoia", "python_calamine"}
    | {"pandas", "pipeline.core.layouts", "pipeline.readers.registry"}
)
EVERY_ENTRY_POINT = {
    "api_detokenize": {"aws_lambda_powertools", "boto3", "cryptography", "pydantic"},
    "api_tokenize": {"aws_lambda_powertools", "boto3", "cryptography", "pydantic"}
    | {"pipeline.core.layouts", "pyarrow"},
    "key_setup": {"boto3"},
    "watch": {"aws_lambda_powertools", "boto3", "pydantic", "smart_open"}
    | {"pipeline.core.layouts", "pyarrow"},
    "work_queue": {"aws_lambda_powertools", "boto3", "cryptography", "pydantic", "smart_open"}
    | {"pipeline.core.layouts", "pipeline.readers.registry", "pyarrow"},
}


@pytest.mark.parametrize("name", EVERY_ENTRY_POINT)
def test_importing_an_entry_point_loads_what_it_needs_and_connects_to_nothing(name: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, f"pipeline.handlers.{name}"],
        env={"AWS_REGION": "us-east-1", "LAMBDA_TASK_ROOT": "/var/task"},
        capture_output=True,
        text=True,
        check=True,
    )
    modules, opened = json.loads(ran.stdout)
    assert HEAVY & set(modules) == EVERY_ENTRY_POINT[name]
    assert opened == []
