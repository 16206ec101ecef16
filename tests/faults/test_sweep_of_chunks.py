"""Files of many chunks, several files, several workers: faults and chance break no invariant."""

from __future__ import annotations

import pytest

from tests.faults.schedules import random_schedules, single_faults, sweep


@pytest.mark.parametrize("kind", ["reply lost once", "killed after", "overtaken before"])
def test_a_fault_at_every_third_request_of_a_file_in_chunks_breaks_nothing(
    kind: str, record_property: pytest.RecordProperty
) -> None:
    schedules = single_faults("a file in chunks", [kind])[len(kind) % 3 :: 3]
    record_property("cases", len(schedules))
    score = sweep(schedules)
    assert not score.violated, str(score)


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        ("two files of the same cards", "overtaken before"),
        ("two repairs of one job", "killed after"),
        ("two repairs of one job", "overtaken before"),
        ("two repairs of one job", "reply lost once"),
        ("a file written in parts", "reply lost once"),
        ("a file written in parts", "killed after"),
    ],
)
def test_a_fault_at_every_third_request_breaks_nothing(
    scenario: str, kind: str, record_property: pytest.RecordProperty
) -> None:
    """`make faults` tries the others."""
    schedules = single_faults(scenario, [kind])[len(kind) % 3 :: 3]
    record_property("cases", len(schedules))
    score = sweep(schedules)
    assert not score.violated, str(score)


@pytest.mark.parametrize(
    ("scenario", "kind", "first"),
    [
        ("a file of many workers", "killed after", 0),
        ("a file of many workers", "overtaken before", 2),
        ("a file of many workers", "reply lost once", 4),
        ("a PAN that shows late, to many workers", "killed after", 5),
        ("a PAN that shows late, in chunks", "killed after", 3),
        ("an archive in chunks", "killed after", 1),
        ("an archive in chunks", "overtaken before", 4),
    ],
)
def test_a_fault_at_every_tenth_request_of_a_long_file_breaks_nothing(
    scenario: str, kind: str, first: int, record_property: pytest.RecordProperty
) -> None:
    """`make faults` tries the others."""
    schedules = single_faults(scenario, [kind])[first::10]
    record_property("cases", len(schedules))
    score = sweep(schedules)
    assert not score.violated, str(score)


@pytest.mark.parametrize("first_seed", [0, 20])
def test_random_schedules_break_nothing(
    first_seed: int, record_property: pytest.RecordProperty
) -> None:
    schedules = random_schedules(range(first_seed, first_seed + 12))
    record_property("cases", len(schedules))
    score = sweep(schedules)
    assert not score.violated, str(score)
