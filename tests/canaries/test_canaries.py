"""Canaries go through every failure path, and are nowhere to be seen afterwards."""

from __future__ import annotations

import logging

import pytest

from pipeline import log_filter, tokenize
from pipeline.errors import TransientError
from pipeline.handlers import edge, work_queue
from tests.canaries.paths import PATHS
from tests.canaries.stage import SCANNER, SURFACES, VALID, leaky_surfaces, stage
from tests.leaks import binary_forms, planted_forms


@pytest.mark.parametrize("name", PATHS)
def test_no_canary_is_seen_after(name: str, record_property: pytest.RecordProperty) -> None:
    with stage() as scene:
        PATHS[name].play(scene)
        assert leaky_surfaces(scene) == {}
        assert scene.reasons >= PATHS[name].reasons
        assert scene.requests or name.startswith("events")
    record_property("cases", len(SURFACES))


SHOWN = [
    "guard hits",
    "guard hits, redacted or tokenized",
    "layout errors",
    "a crash with a traceback",
    "events that are not SQS's",
]


@pytest.fixture(scope="module")
def left() -> dict[str, bytes]:
    """All that is left on each surface after some failures."""
    with stage() as scene:
        for name in SHOWN:
            PATHS[name].play(scene)
        return {name: b"\n".join(read(scene)) for name, read in SURFACES.items()}


def test_failures_leave_something_on_every_surface(left: dict[str, bytes]) -> None:
    silent = {name for name, content in left.items() if len(content) < len("[...]")}
    assert silent <= {"standard error", "traces"}


@pytest.mark.parametrize("form", [*planted_forms(VALID), *binary_forms(VALID)])
def test_a_canary_in_any_encoding_would_be_seen_on_any_surface(
    left: dict[str, bytes], form: str
) -> None:
    planted = (planted_forms(VALID) | binary_forms(VALID))[form]
    if form == "parquet":  # a file of its own, wherever it lies
        assert SCANNER.leaks_in(planted)
        return
    assert [name for name, text in left.items() if not SCANNER.leaks_in(text + planted)] == []


# Each line of defence taken away: then canaries are seen, so they would be without it.


def test_without_the_guard_a_canary_is_seen() -> None:
    with stage() as scene:
        scene.patch(tokenize, "guard_columns", lambda *_: {})
        PATHS["guard hits"].play(scene)
        assert "Parquet" in leaky_surfaces(scene)


def test_without_the_log_filter_a_canary_is_seen() -> None:
    with stage() as scene:
        scene.patch(edge, "install", lambda: None)
        scene.patch(logging.Handler, "format", log_filter._format_unfiltered)
        PATHS["a reader that says everything"].play(scene)
        assert {"Lambda's log as text", "Lambda's log as JSON"} <= leaky_surfaces(scene).keys()


def test_without_the_edge_a_canary_is_seen() -> None:
    def talkative(error: Exception) -> TransientError:
        return TransientError("unexpected", repr(error))

    with stage() as scene:
        scene.patch(work_queue, "without_content", talkative)
        scene.patch(edge, "install", lambda: None)
        scene.patch(logging.Handler, "format", log_filter._format_unfiltered)
        PATHS["a crash with a traceback"].play(scene)
        assert {"the worker's own log", "receipts", "table jobs"} <= leaky_surfaces(scene).keys()
