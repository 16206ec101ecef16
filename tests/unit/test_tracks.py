"""Full track data in kept cells and in free text."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.layouts import Layout
from pipeline.core.rows import check_rows
from pipeline.core.tracks import cells_with_tracks, without_tracks

PAN = "4111111111111111"
TRACKS = [
    f"%B{PAN}^DOE/JOHN^25121010000000000?",
    f"B{PAN}^DOE/JOHN ^2512101",
    f";{PAN}=25121010000000000?",
    f"{PAN}=25121010000000000",
    f"{PAN}D25121010000000000F",
]


@pytest.mark.parametrize("track", TRACKS)
def test_a_track_is_removed_from_a_text(track: str) -> None:
    assert without_tracks(f"swiped {track} ok") == "swiped [removed] ok"
    assert cells_with_tracks(pa.array(["x" * 99, None, f"swiped {track} ok", ""])) == [2]


@pytest.mark.parametrize(
    "text",
    [
        f"{PAN}=2512",
        f"card {PAN} exp 2512",
        f"{PAN}=25991010000",
        "9999999999999999=2512101000",
        "sum of 123 = 2512101",
        "a4111111111111111d2512101b",
        f"{PAN}D2512101abc",
    ],
)
def test_what_is_no_track_stays(text: str) -> None:
    assert without_tracks(text) == text


def test_hashes_hardly_ever_look_like_tracks() -> None:
    hashes = [hashlib.sha256(str(at).encode()).hexdigest() for at in range(20_000)]
    assert cells_with_tracks(pa.array(hashes)) == []


@given(st.text())
def test_any_text_is_searched_without_an_error(text: str) -> None:
    assert len(without_tracks(text)) <= len(text) + len(text)


def test_removing_tracks_takes_time_in_proportion_to_the_text() -> None:
    for piece in ("B", "%B", ";", "1", "1" * 19, "B411111111111^", "411111111111=2512101", "^"):
        assert without_tracks(piece * (200_000 // len(piece)))


def layout(role: str) -> Layout:
    columns = {"pan": {"role": "pan"}, "note": {"role": role}}
    return Layout.model_validate({"name": "x", "columns": columns})


@pytest.mark.parametrize("track", TRACKS)
def test_a_kept_cell_with_a_track_rejects_its_row(track: str) -> None:
    rows = pa.RecordBatch.from_pydict({"pan": [PAN, PAN], "note": ["fine", f"read {track}"]})
    checked = check_rows(rows, layout("keep"))
    assert [(each.index, each.reason, each.column) for each in checked.faults] == [
        (1, "track_data", "note")
    ]
    assert checked.kept["note"].to_pylist() == ["fine"]


def test_a_track_in_free_text_is_taken_out_and_the_row_goes_on() -> None:
    rows = pa.RecordBatch.from_pydict({"pan": [PAN], "note": [f"read {TRACKS[0]} twice"]})
    checked = check_rows(rows, layout("text"))
    assert checked.faults == ()
    assert checked.kept["note"].to_pylist() == ["read [removed] twice"]


def test_a_track_as_customer_id_rejects_its_row() -> None:
    document = {"name": "x", "columns": {"pan": {"role": "pan"}}, "options": {"customer_id": "who"}}
    rows = pa.RecordBatch.from_pydict({"pan": [PAN], "who": [TRACKS[2]]})
    checked = check_rows(rows, Layout.model_validate(document))
    assert [each.reason for each in checked.faults] == ["track_data"]
