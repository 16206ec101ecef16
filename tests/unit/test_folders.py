"""Which folder of the intake has which layout."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest

from pipeline.core.folders import parse_folder_rules
from pipeline.core.jobs import repair_key
from pipeline.errors import LayoutError, PermanentError
from pipeline.job import Worker, run_job
from pipeline.keys import FingerprintKey
from pipeline.testing import MemoryLayouts, MemoryWorld

RULES = '"incoming/partner-x/" = "x"\n"incoming/partner-x/odd/" = "auto"\n'
LAYOUT = 'name = "x"\nversion = 3\n[columns.card]\nrole = "pan"\n'
BODY = b"card\n4111111111111111\n"


@pytest.mark.parametrize(
    ("key", "layout"),
    [
        ("incoming/partner-x/a.csv", "x"),
        ("incoming/partner-x/2026/11/a.csv", "x"),
        ("incoming/partner-x/odd/a.csv", "auto"),
        ("incoming/partner-xy/a.csv", None),
        ("incoming/a.csv", None),
    ],
)
def test_the_longest_folder_that_holds_a_file_says_its_layout(key: str, layout: str | None) -> None:
    assert parse_folder_rules(RULES.encode()).layout_for(key) == layout


@pytest.mark.parametrize(
    "rule",
    [
        '"incoming/" = "x"',
        '"partner-x/" = "x"',
        '"incoming/partner-x" = "x"',
        '"incoming/x/" = "X Y"',
        '"incoming/x/" = 3',
        '[incoming]\nx = "x"',
        '"incoming/4111111111111111" = "x"',
    ],
)
def test_a_rule_that_cannot_be_meant_is_a_mistake(rule: str) -> None:
    with pytest.raises(LayoutError) as caught:
        parse_folder_rules(rule.encode())
    assert caught.value.mistakes[0].startswith("folders.toml: ")
    assert "4111111111111111" not in str(caught.value)


def receipt_of(key: str, layouts: MemoryLayouts) -> Any:
    world = MemoryWorld(os.urandom, layouts=layouts)
    ports = world.ports()
    upload = world.quarantine.put(key, BODY)
    worker = Worker(
        ports,
        FingerprintKey(ports.key_service, ports.data_key_records, ports.clock).fingerprinter,
        memory_gb=1.0,
    )
    try:
        return run_job(upload, worker, lambda: 900.0)
    except PermanentError:
        return world.tokenized.receipts[upload.job_id]


def test_a_file_is_read_by_the_layout_of_its_folder_and_the_receipt_names_that_one() -> None:
    receipt = receipt_of("incoming/partner-x/sub/a.csv", MemoryLayouts(LAYOUT, folders=RULES))
    assert receipt["status"] == "committed"
    assert receipt["layout"] == "x"
    assert receipt["layout_version"] == "3"
    assert receipt["layout_sha256"] == hashlib.sha256(LAYOUT.encode()).hexdigest()
    assert "/layout=x/" in receipt["outputs"][0]["uri"]


def test_a_receipt_without_a_layout_names_no_version() -> None:
    receipt = receipt_of("incoming/partner-x/odd/a.csv", MemoryLayouts(LAYOUT, folders=RULES))
    assert (receipt["layout"], receipt["rows_written"]) == ("auto", 1)
    assert receipt["layout_version"] is receipt["layout_sha256"] is None


def test_rules_with_a_mistake_fail_the_file_and_lose_nothing() -> None:
    receipt = receipt_of("incoming/x/a.csv", MemoryLayouts(LAYOUT, folders='"incoming" = "x"'))
    assert (receipt["status"], receipt["reason"]) == ("failed", "invalid_layout")


def test_repairs_go_to_the_layout_that_they_were_sent_to() -> None:
    layouts = MemoryLayouts(LAYOUT, folders='"incoming/x/" = "auto"')
    key = repair_key("x", "job_" + "a" * 26, "r.jsonl")
    assert layouts.name_for(key) == "x"
    assert layouts.name_for("incoming/x/a.csv") == "auto"
