"""What a person sees at the terminal."""

from __future__ import annotations

import pytest

from pipeline.cli.output import printable, table


def test_control_characters_of_names_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table("files", ("name",), [("evil\x1b[2J\x07name",)])
    assert "\x1b" not in capsys.readouterr().out
    assert printable("a\x1bb\nc\u202ed") == "a\ufffdb\nc\ufffdd"


def test_numbers_stand_right_and_ids_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    table("jobs", ("job", "rows"), [("job_6tok5sahhchio7bet4erbxqbfi", 12345)])
    printed = capsys.readouterr().out
    assert "job_6tok5sahhchio7bet4erbxqbfi" in printed
    assert "12,345" in printed
