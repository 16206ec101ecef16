"""A fault at every AWS request of a run, below the SDK's retries: no invariant breaks, ever."""

from __future__ import annotations

import pytest

from tests.faults.kinds import KINDS
from tests.faults.mutants import FLAWS, MUTANTS, caught_after
from tests.faults.schedules import (
    SCENARIOS,
    random_schedules,
    run_single,
    single_faults,
    sweep,
)

# What leaves most behind; the other kinds strike at every third request each, in turn, and
# `make faults` has all of them at all requests.
AT_EACH_REQUEST = {"reply lost once", "killed after", "overtaken before"}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_run_without_a_fault_breaks_nothing(scenario: str) -> None:
    outcome = run_single(SCENARIOS[scenario])
    assert outcome.violations == []
    assert len(outcome.requests) >= 7


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", ["a file", "a file that fails"])
def test_a_fault_at_any_request_breaks_nothing(
    scenario: str, kind: str, record_property: pytest.RecordProperty
) -> None:
    schedules = single_faults(scenario, [kind])
    if kind not in AT_EACH_REQUEST:
        schedules = schedules[list(KINDS).index(kind) % 3 :: 3]
    record_property("cases", len(schedules))
    score = sweep(schedules)
    assert not score.violated, str(score)


@pytest.mark.parametrize("kind", ["killed after", "overtaken before"])
def test_content_that_comes_twice_is_refused_once_whatever_happens(
    kind: str, record_property: pytest.RecordProperty
) -> None:
    schedules = single_faults("the same content twice", [kind])[len(kind) % 3 :: 3]
    record_property("cases", len(schedules))
    score = sweep(schedules)
    assert not score.violated, str(score)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_sweep_finds_a_bug_that_is_planted(mutant: str) -> None:
    plant, scenario, _ = MUTANTS[mutant]
    with plant():
        assert run_single(SCENARIOS[scenario]).violations == []
    assert caught_after(mutant) is not None


@pytest.mark.parametrize("flaw", FLAWS)
def test_the_invariants_show_a_bug_that_needs_no_fault(flaw: str) -> None:
    plant, scenario = FLAWS[flaw]
    with plant():
        assert run_single(SCENARIOS[scenario]).violations != []


def test_a_seed_says_all_there_is_to_a_random_schedule() -> None:
    (schedule,) = random_schedules([7])
    assert schedule.run() == schedule.run() == []
