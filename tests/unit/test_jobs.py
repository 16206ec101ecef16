"""What an object's key asks for, and which job an upload is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.jobs import is_intake, layout_name_of
from pipeline.errors import PermanentError
from pipeline.model import Upload


@pytest.mark.parametrize(
    ("key", "layout"),
    [
        ("incoming/acme/file.csv", "acme"),
        ("incoming/acme/2026/11/file.csv", "acme"),
        ("incoming/file.csv", "auto"),
        ("incoming/auto/file.csv", "auto"),
        ("incoming//file.csv", ""),
        ("incoming/../file.csv", ".."),
        ("incoming/incoming/file.csv", "incoming"),
        ("incoming/file 2026-11-23T12:30.csv", "auto"),
    ],
)
def test_the_folder_names_the_layout(key: str, layout: str) -> None:
    assert layout_name_of(key) == layout


@pytest.mark.parametrize(
    "key",
    [
        "incoming/4111111111111111.csv",
        "incoming/4111111111111111/file.csv",
        "incoming/acme/4111 1111 1111 1111.csv",
        "incoming/acme/cards-4111-1111-1111-1111-new.csv",
        "incoming/4111/1111/1111/1111",
        "incoming/acme/NDExMTExMTExMTExMTExMQ==.csv",
        "incoming/acme/%34%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31",
    ],
)
def test_a_key_with_a_card_number_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(PermanentError) as caught:
        layout_name_of(key)
    assert caught.value.code == "pan_in_object_key"
    assert "1111" not in repr(caught.value)


def test_folders_are_no_uploads() -> None:
    assert is_intake("incoming/a.csv")
    assert is_intake("incoming/acme/a")
    for key in ("incoming/", "incoming/acme/", "incoming", "outgoing/a.csv", ""):
        assert not is_intake(key)


def test_a_job_id_is_this_one() -> None:
    assert Upload("bucket", "incoming/x.csv", "v1").job_id == "job_afjgybvukrojlnnfus63bw23ci"


@given(st.tuples(st.text(), st.text(), st.text()))
def test_an_upload_is_always_the_same_job(names: tuple[str, str, str]) -> None:
    job_id = Upload(*names).job_id
    assert job_id == Upload(*names).job_id
    assert re.fullmatch(r"job_[a-z2-7]{26}", job_id)


def test_bucket_key_and_version_do_not_run_into_each_other() -> None:
    uploads = [
        Upload("a", "bc", "d"),
        Upload("ab", "c", "d"),
        Upload("a", "b", "cd"),
        Upload("a", "bcd", ""),
        Upload("", "abc", "d"),
        Upload("a", "bc", "D"),
    ]
    assert len({upload.job_id for upload in uploads}) == len(uploads)
