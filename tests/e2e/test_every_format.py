"""Every sample goes in through the intake, and every token that comes out opens to its card."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pysequoia
import pytest
from cardutil import mciipm
from cardutil.iso8583 import dumps

from pipeline.cli.uploads import put_file, wait_for_receipts
from pipeline.local import LocalStack
from pipeline.model import Upload
from pipeline.samples.cards import synthetic_pans
from pipeline.samples.files import SAMPLE_FILES, SAMPLE_SEED
from pipeline.samples.rejects import EVERY_REJECT_CASES, VISA, expected_rejects
from pipeline.samples.transactions import transaction_blocks
from tests.e2e.operator import Operator
from tests.unit.test_samples_structured import EXPECTED as STRUCTURED
from tests.unit.test_samples_structured import at_path

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 120.0
TOKEN = re.compile(r"tok_[a-z2-7]{26}")
SECRET = "drops/every-format"
ENCRYPTED = "encrypted.csv.pgp"
ENCRYPTED_PANS = synthetic_pans(20, seed=51)
IPM_PANS = ["4444555544445555"] * 15

_LAYOUTS = {
    "card_present.csv": "card-present",
    "acquirer_pipe.txt": "acquirer-pipe",
    "amex_grrcn.csv": "amex-grrcn",
    "every_reject.csv": "every-reject",
    "unnamed_columns.csv": None,
    "acme_unknown.csv": "every-format-acme",
    "visa_ctf.txt": "visa-ctf",
    "visa_itf.bin": "visa-itf",
    "mastercard_ipm.bin": "mastercard-ipm",
    "mastercard_ipm_ebcdic.bin": "mastercard-ipm-ebcdic",
    "mastercard_ipm_ebcdic_blocked.bin": "mastercard-ipm-ebcdic-blocked",
    "amex_grrcn.txt": "amex-grrcn-fixed",
    "nacha_shr.txt": "nacha-shr",
    "nacha_shr_unbroken.bin": "nacha-shr",
    "mainframe_ebcdic.bin": "mainframe-ebcdic",
    **{name: layout for name, (layout, _, _) in STRUCTURED.items()},
}
_IPM_VARIANTS = {
    "ipm_ascii_vbs.bin": "mastercard-ipm",
    "ipm_ebcdic_vbs.bin": "mastercard-ipm-ebcdic",
    "ipm_ebcdic_blocked.bin": "mastercard-ipm-ebcdic-blocked",
}
_REFUSED = "acquirer_pipe_wrong_trailer.txt"
_ENCRYPTED_LAYOUT = f"""name = "every-format-encrypted"
[columns.card]
role = "pan"
[decryption]
key = "secretsmanager:{SECRET}"
"""


def lines(name: str) -> list[str]:
    return (ROOT / "sample_data" / name).read_text("utf-8").splitlines()


def grrcn_pans() -> list[str]:
    places = dict.fromkeys(("TXNPRICING", "CHARGEBACK", "ADJUSTMENT"), 11) | {"TRANSACTN": 14}
    rows = csv.reader(lines("amex_grrcn.csv"))
    return [row[places[row[0]]] for row in rows if row[0] in places]


def acme_pans() -> list[str]:
    text = (ROOT / "sample_data/acme_unknown.csv").read_text("cp1252")
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=";")
    return [row["Kartennummer"].replace(" ", "") for row in rows]


def pans_of_good_rows() -> list[str]:
    good = [each for each in EVERY_REJECT_CASES if each.reason is None]
    return [re.sub(r"\D", "", each.cells.get("card_number") or VISA) for each in good]


# By other means than the product's readers.
_DELIMITED: dict[str, Callable[[], list[str]]] = {
    "card_present.csv": lambda: [
        row["card_number"] for row in csv.DictReader(lines("card_present.csv"))
    ],
    "acquirer_pipe.txt": lambda: [
        line.split("|")[5] for line in lines("acquirer_pipe.txt") if line.startswith("D")
    ],
    "amex_grrcn.csv": grrcn_pans,
    "every_reject.csv": pans_of_good_rows,
    "unnamed_columns.csv": lambda: [row[2] for row in csv.reader(lines("unnamed_columns.csv"))],
    "acme_unknown.csv": acme_pans,
}


def expected_pans(name: str) -> list[str]:
    """The PANs of a sample's good rows, in their order."""
    if name in STRUCTURED:
        _, read, column = STRUCTURED[name]
        return [str(at_path(row, column)) for row in read(ROOT / "sample_data" / name)]
    if name in _DELIMITED:
        return _DELIMITED[name]()
    return [pan for block in transaction_blocks(60, 40, SAMPLE_SEED) for pan in block.pans]


@dataclass(frozen=True)
class Outcome:
    """What became of one file, its tokens opened."""

    receipt: Mapping[str, Any]
    table: pa.Table
    opened: Mapping[str, str]

    def pans_of(self, column: str) -> list[str]:
        tokens = self.table[f"{column}_token"].to_pylist()
        return [self.opened[token] for token in tokens if token]

    @property
    def all_pans(self) -> set[str]:
        """Those of every token that stands anywhere in the output."""
        return {self.opened[token] for token in TOKEN.findall(str(self.table.to_pylist()))}


def ipm_variants(original: Path) -> dict[str, bytes]:
    content = original.read_bytes()
    messages = [dict(each) for each in mciipm.IpmReader(io.BytesIO(content))]
    return {
        "ipm_ascii_vbs.bin": content,
        "ipm_ebcdic_vbs.bin": as_ebcdic(messages, blocked=False),
        "ipm_ebcdic_blocked.bin": as_ebcdic(messages, blocked=True),
    }


def as_ebcdic(messages: Sequence[Mapping[str, str]], *, blocked: bool) -> bytes:
    sink = io.BytesIO()
    writer = mciipm.VbsWriter(sink, blocked=blocked)
    for each in messages:
        writer.write(dumps(dict(each), encoding="cp500"))
    writer.close()
    return sink.getvalue()


def encrypted_drop(stack: LocalStack) -> bytes:
    """A drop for a key that the stack's Secrets Manager holds and nobody else."""
    key = pysequoia.Tsk.generate("acquirer")
    stack.client("secretsmanager").create_secret(Name=SECRET, SecretString=str(key))
    content = "card\n" + "".join(f"{pan}\n" for pan in ENCRYPTED_PANS)
    encrypted: bytes = pysequoia.encrypt(
        content.encode(), recipients=[key.extract_certificate()], armor=False
    )
    return encrypted


def outcomes_of(operator: Operator, uploads: Mapping[str, Upload]) -> dict[str, Outcome]:
    receipts = wait_for_receipts(operator.target, list(uploads.values()), TIMEOUT_SECONDS)
    tables = [operator.output(each) if each["outputs"] else pa.table({}) for each in receipts]
    tokens = sorted({t for table in tables for t in TOKEN.findall(str(table.to_pylist()))})
    opened = dict(zip(tokens, operator.open(tokens), strict=True))
    return {
        name: Outcome(receipt, table, opened)
        for name, receipt, table in zip(uploads, receipts, tables, strict=True)
    }


@pytest.fixture(scope="module")
def outcomes(
    local_stack: LocalStack, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    """All files of this module, uploaded at once and waited for once."""
    operator, folder = Operator(local_stack), tmp_path_factory.mktemp("files")
    acme = (ROOT / "sample_data/layouts/acme.toml").read_text("utf-8")
    operator.add_layout("every-format-acme", acme.replace('"acme"', '"every-format-acme"', 1))
    operator.add_layout("every-format-encrypted", _ENCRYPTED_LAYOUT)
    files = {ROOT / "sample_data" / name: layout for name, layout in _LAYOUTS.items()}
    files[ROOT / "sample_data" / _REFUSED] = "acquirer-pipe"
    made = {ENCRYPTED: (encrypted_drop(local_stack), "every-format-encrypted")}
    original = ROOT.parent / "shared" / "data" / "ipm_ascii_vbs.bin"
    if original.is_file():
        variants = ipm_variants(original)
        made |= {name: (variants[name], layout) for name, layout in _IPM_VARIANTS.items()}
    for name, (content, layout) in made.items():
        (folder / name).write_bytes(content)
        files[folder / name] = layout
    uploads = {
        file.name: put_file(operator.target, file, layout, lambda _: None)
        for file, layout in files.items()
    }
    return outcomes_of(operator, uploads)


def adds_up(receipt: Mapping[str, Any]) -> bool:
    written = sum(each["rows"] for each in receipt["outputs"])
    rejected = sum(receipt["rejects_by_reason"].values())
    return bool(
        receipt["rows_read"] == receipt["rows_written"] + receipt["rows_rejected"]
        and receipt["rows_written"] == written
        and receipt["rows_rejected"] == rejected
    )


def test_every_sample_is_sent() -> None:
    assert set(_LAYOUTS) | {_REFUSED} == set(SAMPLE_FILES)


@pytest.mark.parametrize("name", _LAYOUTS)
def test_every_token_of_a_sample_opens_to_its_pan(
    name: str, outcomes: Mapping[str, Outcome]
) -> None:
    outcome = outcomes[name]
    receipt, pans = outcome.receipt, expected_pans(name)
    assert (receipt["status"], receipt["reason"]) == ("committed", None)
    assert adds_up(receipt)
    assert receipt["rows_written"] == len(pans)
    assert receipt["rejects_by_reason"] == (
        expected_rejects() if name == "every_reject.csv" else {}
    )
    assert outcome.pans_of(receipt["columns"]["tokenized"][0]) == pans
    assert outcome.all_pans <= set(pans) | set(synthetic_pans(40, SAMPLE_SEED))


def test_a_second_card_of_a_record_is_tokenized_too(outcomes: Mapping[str, Outcome]) -> None:
    cards = synthetic_pans(40, SAMPLE_SEED)
    second = outcomes["mainframe_ebcdic.bin"].pans_of("to_card_number")
    assert second == [cards[at * 7 % 40] for at in range(0, 60, 10)]


def test_a_sample_with_a_wrong_trailer_is_refused_as_a_whole(
    outcomes: Mapping[str, Outcome],
) -> None:
    receipt = outcomes[_REFUSED].receipt
    assert (receipt["status"], receipt["reason"]) == ("failed", "trailer_mismatch")
    assert receipt["outputs"] == []


@pytest.mark.parametrize("name", _IPM_VARIANTS)
def test_messages_that_another_program_wrote_come_out_as_tokens(
    name: str, shared_data: Path, outcomes: Mapping[str, Outcome]
) -> None:
    outcome = outcomes[name]
    assert outcome.receipt["status"] == "committed"
    assert adds_up(outcome.receipt)
    assert outcome.pans_of("DE2") == IPM_PANS
    assert outcome.receipt["luhn_failed"] == len(IPM_PANS)


def test_an_encrypted_drop_is_opened_with_the_key_of_the_secrets_manager(
    outcomes: Mapping[str, Outcome],
) -> None:
    outcome = outcomes[ENCRYPTED]
    assert outcome.receipt["status"] == "committed"
    assert adds_up(outcome.receipt)
    assert outcome.pans_of("card") == ENCRYPTED_PANS
