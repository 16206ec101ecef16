"""Packed uploads: unpacked as they are read, whatever they are packed in, and never too far."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import itertools
import lzma
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PantokError, PermanentError, TransientError
from pipeline.job import run_job
from pipeline.readers import registry, streams, unpacking, zip_archive
from pipeline.readers.decompression import Decompressed
from pipeline.readers.delimited import read_delimited
from pipeline.readers.hashing import HashingReader
from pipeline.readers.streams import LookAhead, seekable_file
from pipeline.readers.unpacking import unpacked
from pipeline.samples.cards import synthetic_pans
from tests.unit.structured import as_xlsx, document, keep
from tests.unit.test_tokenize import NOTE, Bench, layout

PANS = synthetic_pans(60, seed=31)
CSV = ("card,note\n" + "".join(f"{pan},n{at}\n" for at, pan in enumerate(PANS))).encode()


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return sink.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: pa.compress(content, "zstd", asbytes=True),
}
ZIPS: dict[str, Callable[[bytes], bytes]] = {
    "zip": lambda content: zipped(("a.csv", content)),
    "stored zip": lambda content: zipped(("a.csv", content), method=zipfile.ZIP_STORED),
    "bzip2 zip": lambda content: zipped(("a.csv", content), method=zipfile.ZIP_BZIP2),
    "lzma zip": lambda content: zipped(("a.csv", content), method=zipfile.ZIP_LZMA),
}


def opened(bench: Bench, receipt: Any) -> list[str]:
    return bench.opened(bench.table(receipt)["card_token"].to_pylist())


@pytest.mark.parametrize("kind", [*PACKERS, *ZIPS])
@pytest.mark.parametrize("folder", ["x", "auto"])
def test_a_packed_file_gives_the_rows_of_what_is_in_it(kind: str, folder: str) -> None:
    bench = Bench(layout(NOTE))
    body = (PACKERS | ZIPS)[kind](CSV)
    receipt = bench.run(body, folder)
    assert opened(bench, receipt) == PANS
    assert receipt["source"]["sha256"] == hashlib.sha256(body).hexdigest()
    assert receipt["source"]["size_bytes"] == len(body)


@pytest.mark.parametrize("kind", PACKERS)
def test_packed_streams_one_behind_the_other_are_one_file(kind: str) -> None:
    pack = PACKERS[kind]
    body = pack(CSV[:700]) + pack(b"") + pack(CSV[700:])
    bench = Bench(layout(NOTE))
    assert opened(bench, bench.run(body)) == PANS


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_zeros_behind_a_packed_stream_fill_up_a_block(kind: str) -> None:
    bench = Bench(layout(NOTE))
    assert opened(bench, bench.run(PACKERS[kind](CSV) + b"\0" * 1024)) == PANS


@pytest.mark.parametrize("kind", PACKERS)
def test_a_stream_that_is_cut_short_anywhere_never_ends_silently(kind: str) -> None:
    body = PACKERS[kind](CSV)
    for cut in range(8, len(body)):
        with pytest.raises(PermanentError) as error:
            Decompressed(io.BytesIO(body[:cut]), kind, 10**9).read()
        assert error.value.code == "corrupt_archive"


@pytest.mark.parametrize("kind", PACKERS)
def test_what_follows_a_packed_stream_is_no_part_of_it(kind: str) -> None:
    with pytest.raises(PermanentError, match="corrupt_archive"):
        Bench(layout(NOTE)).run(PACKERS[kind](CSV) + b"and more")


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_a_byte_that_is_not_as_it_was_written_is_found(kind: str) -> None:
    body = bytearray(PACKERS[kind](CSV))
    body[len(body) // 2] ^= 0x40
    with pytest.raises(PermanentError) as error:
        Bench(layout(NOTE)).run(bytes(body))
    assert error.value.code in ("corrupt_archive", "missing_column", "header_looks_like_data")


def test_a_failed_file_publishes_nothing_of_what_was_read_before_the_damage() -> None:
    bench = Bench(layout(NOTE))
    rows = "".join(f"{pan},{os.urandom(400).hex()}\n" for pan in PANS * 60).encode()
    body = gzip.compress(b"card,note\n" + rows)
    with pytest.raises(PermanentError, match="corrupt_archive"):
        bench.run(body[:-2000])
    assert not any("/data/" in uri for uri in bench.world.tokenized.objects)


def test_members_of_a_zip_archive_are_read_in_order_each_with_its_header() -> None:
    members = [(f"{at}.csv", f"card,note\n{pan},x\n".encode()) for at, pan in enumerate(PANS[:5])]
    bench = Bench(layout(NOTE))
    body = zipped(("folder/", b""), *members, ("__MACOSX/._1.csv", b"\0\1"))
    receipt = bench.run(body)
    assert opened(bench, receipt) == PANS[:5]
    assert receipt["rows_read"] == 5


def test_rejects_of_a_zip_archive_are_numbered_over_all_members() -> None:
    members = [(f"{at}.csv", f"card,note\n{PANS[at]},x\nbad,{at}\n".encode()) for at in range(3)]
    bench = Bench(layout(NOTE))
    receipt = bench.run(zipped(*members))
    rejects = [(each["row"], each["record"]) for each in bench.rejects(receipt)]
    assert rejects == [(2, "bad,0"), (4, "bad,1"), (6, "bad,2")]


def test_members_may_be_packed_themselves_but_not_be_zip_archives() -> None:
    bench = Bench(layout(NOTE))
    packed = [(f"{at}.gz", gzip.compress(f"card,note\n{PANS[at]},\n".encode())) for at in range(3)]
    assert opened(bench, bench.run(zipped(*packed))) == PANS[:3]
    with pytest.raises(PermanentError, match="nested_too_deep: a zip archive in"):
        bench.run(zipped(("a.zip", zipped(("a.csv", CSV)))))


def test_members_with_other_columns_are_refused() -> None:
    other = f"note,card\nx,{PANS[1]}\n".encode()
    with pytest.raises(PermanentError, match="members_differ"):
        Bench(layout(NOTE)).run(zipped(("a", CSV), ("b", other)))


def test_a_member_that_cannot_be_read_is_named_by_its_place() -> None:
    with pytest.raises(PermanentError, match="missing_column: member 2"):
        Bench(layout(NOTE)).run(zipped(("a", CSV), (PANS[0], b"x,y\n1,2\n")))


def test_three_wrappings_are_unpacked_and_four_are_not() -> None:
    three = gzip.compress(bz2.compress(lzma.compress(CSV)))
    bench = Bench(layout(NOTE))
    assert opened(bench, bench.run(three)) == PANS
    with pytest.raises(PermanentError, match="nested_too_deep"):
        bench.run(gzip.compress(three))
    with pytest.raises(PermanentError, match="nested_too_deep"):
        bench.run(zipped(("a", three)))


@pytest.mark.parametrize("name", [b"\0.csv", b"../..", b"\xff\xfe.cs", b"C:\\aa"])
def test_a_member_may_be_called_anything_since_nothing_is_written_under_its_name(
    name: bytes,
) -> None:
    bench = Bench(layout(NOTE))
    body = zipped(("a.csv", CSV)).replace(b"a.csv", name)
    assert opened(bench, bench.run(body)) == PANS


def test_an_archive_without_files_is_an_empty_file() -> None:
    with pytest.raises(PermanentError, match="empty_file"):
        Bench(layout(NOTE)).run(b"PK\x05\x06" + bytes(18))


def test_an_encrypted_member_is_refused() -> None:
    body = bytearray(zipped(("a.csv", CSV)))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        body[body.index(mark) + offset] |= 1
    with pytest.raises(PermanentError, match="encrypted_archive"):
        Bench(layout(NOTE)).run(bytes(body))


def test_a_zip_archive_that_lies_about_its_members_is_corrupt() -> None:
    body = bytearray(zipped(("a.csv", CSV)))
    at = body.index(b"PK\x01\x02") + 24  # the size that the directory says
    body[at : at + 4] = (len(CSV) - 100).to_bytes(4, "little")
    with pytest.raises(PermanentError, match="corrupt_archive"):
        Bench(layout(NOTE)).run(bytes(body))


BOMB_BYTES = 3 * unpacking.MIN_LIMIT_BYTES


LINES = b"4111111111111111,x\n" * (1 << 16)


def bomb(kind: str) -> bytes:
    if kind == "zip":
        return zipped(("a", b"card,note\n" + LINES * (BOMB_BYTES // len(LINES))))
    pack = PACKERS[kind]
    return pack(b"card,note\n") + pack(LINES) * (BOMB_BYTES // len(LINES))


def drain(body: bytes) -> None:
    for each in unpacked(LookAhead(io.BytesIO(body)), len(body), "delimited", no_keys):
        stream = each()
        while stream.read(1 << 20):
            pass


@pytest.mark.parametrize("kind", [*PACKERS, "zip"])
def test_a_bomb_goes_off_at_the_limit_in_bounded_memory(kind: str) -> None:
    body = bomb(kind)
    assert unpacking.unpacked_limit(len(body)) < BOMB_BYTES
    tracemalloc.start()
    try:
        with pytest.raises(PermanentError, match="expands_too_far"):
            drain(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 1024 * 1024


def test_the_limit_is_the_limit() -> None:
    body = gzip.compress(b"x" * 1000)
    assert Decompressed(io.BytesIO(body), "gzip", 1000).read() == b"x" * 1000
    with pytest.raises(PermanentError, match="expands_too_far"):
        Decompressed(io.BytesIO(body), "gzip", 999).read()


def test_a_small_upload_may_unpack_to_a_fixed_size_a_larger_one_to_a_multiple_of_its_own() -> None:
    assert unpacking.unpacked_limit(10) == unpacking.MIN_LIMIT_BYTES
    assert unpacking.unpacked_limit(10**7) == 10**7 * unpacking.MAX_EXPANSION_RATIO
    assert unpacking.unpacked_limit(1 << 40) == unpacking.MAX_UNPACKED_BYTES


def test_a_zip_directory_that_would_fill_the_memory_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zip_archive, "MAX_DIRECTORY_BYTES", 66_000)
    body = zipped(*((f"{at:060d}", b"") for at in range(800)))
    with pytest.raises(PermanentError, match="expands_too_far"):
        Bench(layout(NOTE)).run(body)


def no_keys(*_: Any) -> Any:
    raise PermanentError("decryption_key_missing")


@pytest.mark.parametrize("kind", ["gzip", "zstd", "zip"])
def test_an_upload_is_worked_off_in_chunks_as_if_it_were_not_packed(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each invocation has time for one batch, and unpacks up to where the one before stopped."""
    small = partial(read_delimited, block_bytes=300)
    monkeypatch.setitem(registry.READERS, "delimited", small)
    halves = [CSV[: CSV.index(b"\n", 600) + 1], b"card,note\n" + CSV[CSV.index(b"\n", 600) + 1 :]]
    body = zipped(*zip("ab", halves, strict=True)) if kind == "zip" else PACKERS[kind](CSV)
    bench = Bench(layout(NOTE))
    upload = bench.world.quarantine.put("incoming/x/a", body)
    for _ in range(100):
        clock = itertools.chain([900.0], itertools.repeat(0.0))
        receipt = run_job(upload, bench.worker, lambda clock=clock: next(clock))  # type: ignore[misc]
        if isinstance(receipt, dict):
            break
    assert isinstance(receipt, dict)
    assert opened(bench, receipt) == PANS
    assert receipt["source"]["sha256"] == hashlib.sha256(body).hexdigest()


@settings(max_examples=150, deadline=None)
@given(
    content=st.binary(max_size=400),
    kind=st.sampled_from(sorted(PACKERS)),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 200)), max_size=10),
)
def test_reading_and_seeking_unpacked_bytes_is_like_reading_a_file(
    content: bytes, kind: str, steps: list[tuple[bool, int]]
) -> None:
    model = io.BytesIO(content)
    stream = Decompressed(io.BytesIO(PACKERS[kind](content)), kind, 10**6)
    for is_seek, size in steps:
        if is_seek:
            model.seek(min(size, len(content)))
            stream.seek(size)
        else:
            assert stream.read(size) == model.read(size)


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from([*PACKERS, *ZIPS]),
    flips=st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 255)), max_size=4),
    cut=st.integers(0, 400),
)
def test_damaged_archives_add_up_or_get_a_reason(
    kind: str, flips: list[tuple[int, int]], cut: int
) -> None:
    body = bytearray((PACKERS | ZIPS)[kind](CSV))
    for at, change in flips:
        body[at % len(body)] ^= change
    bench = Bench(layout(NOTE))
    try:
        receipt = bench.run(bytes(body[: len(body) - cut]))
    except PantokError as error:
        assert isinstance(error, PermanentError)
    else:
        assert receipt["rows_read"] == receipt["rows_written"] + receipt["rows_rejected"]


def test_trouble_on_the_way_from_the_bucket_is_not_taken_for_damage() -> None:
    class Gone(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 20:
                raise TransientError("aws_unreachable")
            return super().read(20)

    for kind, pack in PACKERS.items():
        with pytest.raises(TransientError):
            Decompressed(Gone(pack(os.urandom(200))), kind, 10**6).read()


def test_a_large_workbook_is_an_upload_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_BYTES_IN_MEMORY", 1000)
    bench = Bench(document("xlsx", keep("note")))
    body = as_xlsx([{"card": pan, "note": "n"} for pan in PANS])
    assert opened(bench, bench.run(body)) == PANS


def test_a_large_upload_is_read_from_any_place_without_being_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "MAX_BYTES_IN_MEMORY", 1000)
    body = zipped(("a", CSV), method=zipfile.ZIP_STORED)
    assert len(body) > 1000
    source = HashingReader(io.BytesIO(body), len(body))
    file = seekable_file(source)
    assert file.seek(-5, io.SEEK_END) == len(body) - 5
    assert file.read() == body[-5:]
    assert file.seek(3) == 3
    assert file.read(10) == body[3:13]
    assert source.sha256 is None
    bench = Bench(layout(NOTE))
    receipt = bench.run(body)
    assert opened(bench, receipt) == PANS
    assert receipt["source"]["sha256"] == hashlib.sha256(body).hexdigest()
    with pytest.raises(PermanentError, match="too_large_for_memory"):
        bench.run(gzip.compress(body))
