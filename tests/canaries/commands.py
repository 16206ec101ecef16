"""Every command of `pantok` that touches a file, AWS or the API, with canaries in what it is given.

`{job}`, `{uri}`, `{token}`, `{valid}`, `{amex}` and `{folder}` stand for what a terminal knows.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.canaries.stage import AMEX, CANARIES, HEADER, LAYOUT, LONG, VALID

# What may show card numbers: the card numbers that are asked for, and nothing on the messages.
SHOWING = ("detokenize {token} --purpose chargeback --full", "rejects export {job}")

AT_AWS = (
    "upload {folder}/settlement.csv --layout x",
    "upload {folder}/settlement.csv --layout x --wait --timeout 0",
    "jobs",
    "jobs --limit 1 --json",
    "receipt {job}",
    "receipt {valid}",
    "inspect {uri}",
    "inspect {uri} --layout {folder}/broken.toml",
    "inspect s3://quarantine/{valid}",
    "query 'SELECT count(*) FROM tokenized'",
    "query 'SELECT * FROM tokenized' --json",
    "query 'SELECT card_{valid} FROM tokenized'",
    "query \"SELECT '{amex}x'::INTEGER FROM tokenized\"",
    "query --layout {valid} 'SELECT 1'",
    "scan s3://tokenized/ s3://quarantine/incoming/{valid}",
    "scan s3://quarantine/incoming/x/a.csv s3://quarantine/incoming/nobody-knows/",
    "detokenize {token} --purpose chargeback",
    "detokenize {token} --purpose nothing-of-yours",
    "detokenize {token} --purpose {valid}",
    "detokenize --file {folder}/tokens.txt --purpose chargeback"
    " --public-key {folder}/public.pem -o {folder}/sealed",
    "trace {job}",
    "trace {token}",
    "trace {valid}",
    "grants show",
    "grants set {folder}/grants.toml",
    "grants unlock {valid}",
    "bulk approve {folder}/job.json --yes",
    "dlq list",
    "dlq list --json",
    "dlq list --layout {amex} --reason {valid}",
    "dlq show {valid}",
    "dlq replay --all --dry-run",
    "dlq replay --all --json",
    "rejects list {job}",
    "rejects list {valid}",
    "rejects export {job} -o {folder}/exported.jsonl",
    "rejects replay {job} {folder}/repair.jsonl",
    "rejects replay {job} {folder}/repair.jsonl --wait --timeout 0",
    "layouts list",
    "layouts show x",
    "layouts show {valid}",
    "layouts add {folder}/acme.toml",
    "layouts add {folder}/broken.toml",
    "layouts add {folder}/folders.toml",
    "keys list",
    "keys rotate vault --yes",
    "keys rewrap --dry-run",
    "keys rewrap --to {valid}",
    "keys fingerprint begin --yes",
    "vault audit --samples 0 --progress {folder}/progress",
    "vault forget {valid} --purpose x --yes",
    "vault forget {token} --purpose {valid} --yes",
    "vault forget {token} --purpose erasure --yes",
    "vault expire --scope default --older-than 1d --dry-run --progress {folder}/progress",
    "vault shred {valid}",
    "loadtest --files 1 --rows 5 --cards 2 --timeout 0 --settle 0",
)
LOCAL = (
    "{valid}",
    "jobs --limit {valid}x",
    "upload {folder}/{valid}.csv",
    "upload {folder}/named/{valid}.csv",
    "inspect {folder}/settlement.csv",
    "inspect {folder}/settlement.csv --layout {folder}/x.toml --json",
    "inspect {folder}/settlement.csv --layout {valid}",
    "inspect {folder}/headless.csv",
    "inspect {folder}/noise.bin --layout {folder}/x.toml",
    "inspect {folder}/noise.parquet",
    "inspect {folder}/named/{valid}.csv",
    "inspect {folder}/{valid}",
    "layouts new {folder}/settlement.csv",
    "layouts new {folder}/headless.csv --json",
    "layouts new {folder}/noise.bin",
    "layouts new {folder}/noise.parquet",
    "layouts new {folder}/named/{valid}.csv",
    "layouts new {folder}/settlement.csv --name {valid}",
    "layouts new {folder}/settlement.csv -o {folder}/{valid}/x.toml",
    "layouts check {folder}/broken.toml {folder}/acme.toml {folder}/noise.bin",
    "layouts check {folder}/broken.toml --json",
    "layouts add {folder}/noise.bin",
    "grants check {folder}/broken.toml",
    "grants check {folder}/noise.bin",
    "bulk unseal {folder}/settlement.csv --private-key {folder}/public.pem -o {folder}/{valid}.out",
    "bulk approve {folder}/broken.toml --yes",
    "detokenize {valid} --purpose chargeback",
    "detokenize --file {folder}/settlement.csv --purpose chargeback"
    " --public-key {folder}/public.pem -o {folder}/sealed",
    "scan {folder}",
    "scan {folder} --pans {folder}/pans.txt --only-known --json",
    "scan {folder}/{valid}",
    "scan {folder} --pans {folder}/noise.bin",
    "generate --rows {valid}x",
    "generate --rows 3 -o {folder}/{valid}/x.csv",
    "generate --layout {valid}",
    "dlq list --older-than {valid}",
    "local status",
    "api openapi",
)

BROKEN = (
    f'name = "broken"\n[columns."{VALID}"]\nrole = "{AMEX}"\n"{LONG}" = {VALID}\nmemo = {AMEX} x'
)
PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VuAyEAhSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=
-----END PUBLIC KEY-----
"""
GRANTS = """[[grants]]
name = "desk"
principals = ["arn:aws:iam::000000000000:role/desk"]
actions = ["detokenize"]
scopes = ["default"]
purposes = ["chargeback"]
per_minute = 1
per_day = 2
"""


def write_files(folder: Path, token: str) -> None:
    """The files that commands are given."""
    rows = "\n".join(f"{canary},1.00,see {canary},lost {canary}" for canary in CANARIES)
    texts = {
        "settlement.csv": f"{HEADER}\n{rows}\n{VALID}\n",
        "headless.csv": f"{rows}\n{VALID},{AMEX},{LONG},x\n",
        "x.toml": LAYOUT.format(name="x", options=""),
        "acme.toml": LAYOUT.format(name="acme", options=""),
        "broken.toml": BROKEN,
        "folders.toml": f'[folders]\n"a" = "{VALID}"\n"b" = "x"\n',
        "grants.toml": GRANTS,
        "tokens.txt": f"{token}\n",
        "pans.txt": "\n".join(CANARIES),
        "public.pem": PUBLIC_KEY,
        "job.json": json.dumps({"job": {"job_id": VALID, "rows": AMEX, "card": LONG}}),
        "repair.jsonl": json.dumps({"row": 5, "record": f"{VALID},1.00,,{AMEX}"}),
        f"named/{VALID}.csv": f"{HEADER}\n{rows}\n",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    noise = f"\xff\x00{VALID}\n".encode("latin-1") * 30
    (folder / "noise.bin").write_bytes(noise)
    (folder / "noise.parquet").write_bytes(b"PAR1" + noise + b"PAR1")
