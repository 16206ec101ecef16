"""Encrypted drops: opened in memory with a key that nothing shows."""

from __future__ import annotations

import gzip
import hashlib
import resource
import sys
from pathlib import Path
from typing import Any

import pysequoia
import pytest

from pipeline import decryption
from pipeline.errors import PermanentError
from pipeline.model import PrivateKey
from pipeline.samples.cards import synthetic_pans
from tests.unit.structured import as_parquet
from tests.unit.test_containers import zipped
from tests.unit.test_tokenize import NOTE, Bench, layout

PANS = synthetic_pans(20, seed=51)
CSV = ("card,note\n" + "".join(f"{pan},n\n" for pan in PANS)).encode()
NAME = "secretsmanager:drops/acquirer"
KEYED = f'[decryption]\nkey = "{NAME}"'
TSK = pysequoia.Tsk.generate("acquirer")
KEY = PrivateKey(str(TSK).encode())


def encrypted(content: bytes, *, armor: bool = False, tsk: Any = TSK) -> bytes:
    return pysequoia.encrypt(content, recipients=[tsk.extract_certificate()], armor=armor)


def bench_with(key: PrivateKey | None = KEY, role: str = KEYED) -> Bench:
    bench = Bench(layout(NOTE, role=role))
    if key is not None:
        bench.world.decryption_keys.keys[NAME] = key
    return bench


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def opened(bench: Bench, receipt: Any) -> list[str]:
    return bench.opened(bench.table(receipt)["card_token"].to_pylist())


WRAPPINGS = {
    "binary": encrypted(CSV),
    "armored": encrypted(CSV, armor=True),
    "gzip in PGP": encrypted(gzip.compress(CSV)),
    "PGP in gzip": gzip.compress(encrypted(CSV)),
    "zip in PGP": encrypted(zipped(("a.csv", CSV))),
    "PGP in zip": zipped(("a.pgp", encrypted(CSV))),
    "gzip in armored PGP in zip": zipped(("a", encrypted(gzip.compress(CSV), armor=True))),
}


@pytest.mark.parametrize("how", WRAPPINGS)
def test_an_encrypted_drop_gives_the_rows_of_what_it_says(how: str) -> None:
    bench, body = bench_with(), WRAPPINGS[how]
    receipt = bench.run(body)
    assert opened(bench, receipt) == PANS
    assert receipt["source"]["sha256"] == hashlib.sha256(body).hexdigest()


def test_formats_that_are_read_from_any_place_may_be_encrypted() -> None:
    bench = bench_with(role=KEYED + '\n[format]\ntype = "parquet"')
    body = encrypted(as_parquet([{"card": pan, "note": "n"} for pan in PANS]))
    assert opened(bench, bench.run(body)) == PANS


def test_a_key_may_be_locked_with_a_passphrase() -> None:
    locked = (Path(__file__).parent / "locked_key.asc").read_bytes()
    certificate = pysequoia.Tsk.from_bytes(locked).extract_certificate()
    body = pysequoia.encrypt(CSV, recipients=[certificate])
    bench = bench_with(PrivateKey(locked, "hunter22"))
    assert opened(bench, bench.run(body)) == PANS
    for passphrase in ("wrong", None):
        with pytest.raises(PermanentError, match=r"decryption_key_unusable|cannot_decrypt"):
            bench_with(PrivateKey(locked, passphrase)).run(body)


def test_a_message_that_gnupg_wrote_is_read() -> None:
    here = Path(__file__).parent
    key = PrivateKey((here / "locked_key.asc").read_bytes(), "hunter22")
    bench = bench_with(key)
    receipt = bench.run((here / "message_by_gnupg.gpg").read_bytes())
    assert opened(bench, receipt) == ["4111111111111111"]


def test_a_plain_file_may_come_where_encrypted_ones_do() -> None:
    bench = bench_with(None)
    assert opened(bench, bench.run(CSV)) == PANS


def test_without_a_key_an_encrypted_file_is_refused_and_says_what_is_missing() -> None:
    for bench in (bench_with(role=""), bench_with(None)):
        with pytest.raises(PermanentError, match="decryption_key_missing"):
            bench.run(WRAPPINGS["binary"])
    with pytest.raises(PermanentError, match="decryption_key_missing"):
        bench_with().run(WRAPPINGS["binary"], "auto")


def test_a_message_for_somebody_else_is_refused() -> None:
    other = pysequoia.Tsk.generate("other")
    for body in (encrypted(CSV, tsk=other), pysequoia.encrypt(CSV, passwords=["x"])):
        with pytest.raises(PermanentError, match="cannot_decrypt"):
            bench_with().run(body)


def test_a_message_that_was_cut_short_or_changed_gives_no_row() -> None:
    body = WRAPPINGS["binary"]
    changed = bytearray(body)
    changed[-20] ^= 1
    for bad in (body[:-1], body[: len(body) // 2], bytes(changed)):
        bench = bench_with()
        with pytest.raises(PermanentError, match="cannot_decrypt"):
            bench.run(bad)
        assert not bench.world.vault.rows


@pytest.mark.parametrize("material", [b"", b"no key", bytes(TSK.extract_certificate())])
def test_what_is_no_private_key_is_refused_and_not_repeated(material: bytes) -> None:
    with pytest.raises(PermanentError, match=r"decryption_key_unusable|cannot_decrypt") as error:
        bench_with(PrivateKey(material)).run(WRAPPINGS["binary"])
    assert not material or repr(material)[2:-1] not in f"{error.value!r}"


def test_a_private_key_is_not_shown() -> None:
    key = PrivateKey(b"material", "passphrase")
    assert repr(key) == "PrivateKey()"


def test_a_message_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decryption, "MAX_ENCRYPTED_BYTES", len(WRAPPINGS["binary"]))
    bench = bench_with()
    assert opened(bench, bench.run(WRAPPINGS["binary"])) == PANS
    monkeypatch.setattr(decryption, "MAX_ENCRYPTED_BYTES", len(WRAPPINGS["binary"]) - 1)
    with pytest.raises(PermanentError, match="too_large_to_decrypt"):
        bench_with().run(WRAPPINGS["binary"])


def test_a_message_that_says_too_much_is_stopped_while_it_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(decryption, "MAX_DECRYPTED_BYTES", len(CSV))
    bench = bench_with()
    assert opened(bench, bench.run(WRAPPINGS["binary"])) == PANS
    monkeypatch.setattr(decryption, "MAX_DECRYPTED_BYTES", len(CSV) - 1)
    with pytest.raises(PermanentError, match="expands_too_far"):
        bench_with().run(WRAPPINGS["binary"])
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == limits


def test_nothing_stays_open() -> None:
    bench = bench_with()
    before = open_files()
    for _ in range(5):
        bench.run(WRAPPINGS["armored"])
        with pytest.raises(PermanentError):
            bench.run(WRAPPINGS["binary"][:-1])
    assert open_files() <= before + 1


def test_without_the_library_an_encrypted_file_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pysequoia", None)
    with pytest.raises(PermanentError, match=r"reader_not_installed: .*pantok\[formats\]"):
        bench_with().run(WRAPPINGS["binary"])
