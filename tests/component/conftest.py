"""Fixtures of the component tests."""

from __future__ import annotations

from types import SimpleNamespace

import botocore.endpoint
import pytest
import smart_open.s3

from pipeline.aws import faults, pump


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody waits; what everybody would have waited, in seconds."""
    waited: list[float] = []
    clock = SimpleNamespace(sleep=waited.append)
    monkeypatch.setattr(botocore.endpoint, "time", clock)
    monkeypatch.setattr(smart_open.s3, "time", clock)
    monkeypatch.setattr(faults.pauses, "__defaults__", (waited.append,))
    monkeypatch.setattr(pump, "sleep", waited.append)
    return waited
