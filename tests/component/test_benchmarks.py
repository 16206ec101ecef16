"""The benchmarks measure whole jobs that end as jobs do."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import Case, endpoint, run, source_of
from benchmarks.rivals import RIVALS
from benchmarks.stages import stage_costs


@pytest.mark.parametrize("contender", ["pantok", "pantok, wide rows"])
@pytest.mark.parametrize(("known_share", "fewest", "most"), [(0.0, 25, 40), (1.0, 10, 20)])
def test_the_worker_ends_its_job_against_the_null_endpoint(
    contender: str, known_share: float, fewest: int, most: int, tmp_path: Path
) -> None:
    case = Case("pantok", contender, 1000, 200, known_share)
    with endpoint(case, source_of(case, tmp_path)) as url:
        measured = run(case, url)
    assert (measured["rows"], measured["pans"]) == (1000, 200)
    assert fewest <= measured["calls"] <= most


@pytest.mark.parametrize("name", RIVALS)
def test_each_rival_tokenizes_every_card(name: str, tmp_path: Path) -> None:
    case = Case(name, name, 30, 30)
    with endpoint(case, source_of(Case("x", "pantok", 10, 5), tmp_path)) as url:
        measured = run(case, url)
    assert measured["pans"] == 30
    assert measured["calls"] >= 2


def test_every_stage_has_its_cost() -> None:
    costs = stage_costs(rows=200, cards=50)
    assert {"read", "fingerprint", "seal", "scrub", "guard", "Parquet"} <= costs.keys()
    assert all(cost > 0 for cost in costs.values())
