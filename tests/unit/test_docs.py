"""What the pages of `docs/` show is what the product reads."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.grants import parse_grants
from pipeline.core.layout_check import check_rules
from pipeline.core.layout_documents import parse_layout
from pipeline.core.layout_schema import layout_schema
from pipeline.core.layouts import Layout

FOLDER = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(FOLDER.glob("*.md"))
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
EXAMPLES = [
    pytest.param(block[3], id=f"{page.name}-{at}")
    for page in PAGES
    for at, block in enumerate(FENCED.finditer(page.read_text("utf-8")), 1)
    if block[2] == "toml"
]


def test_the_pages_have_examples() -> None:
    assert len(EXAMPLES) > 15


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_is_a_layout_or_a_part_of_one(example: str) -> None:
    document = tomllib.loads(example)
    if all(name.startswith("incoming/") for name in document):
        assert check_rules(example.encode()) == []
    elif "grants" in document:
        assert parse_grants(example.encode())
    elif "name" in document:
        assert parse_layout(example.encode(), document["name"])
    else:
        assert Layout.model_validate(completed(document))


def completed(part: dict[str, Any]) -> dict[str, Any]:
    """A part of a layout with what it needs to be one, and nothing else."""
    settings = part.get("format", {})
    if any(isinstance(each, dict) for each in settings.values()):
        part["format"] = {"type": "fixed", **settings}
    part.setdefault("columns", {"card_number": {"role": "pan"}})
    return {"name": "example", **part}


def anchors(page: Path) -> set[str]:
    """What a link into the page can name: its headings, as GitHub turns them into anchors."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_between_pages_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", page.read_text("utf-8"))):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize(
    ("model", "page"),
    [
        *((name, "layouts.md") for name in ("Layout", "Delimited", "Column", "Options")),
        *((name, "layouts.md") for name in ("Records", "RecordType", "TrailerTotals")),
        *((name, "formats-processors.md") for name in ("Fixed", "FixedField", "FixedType")),
        *((name, "formats-processors.md") for name in ("Ctf", "CtfField", "Ipm")),
        *((name, "formats-structured.md") for name in ("Json", "Xlsx", "Decryption")),
    ],
)
def test_each_setting_is_on_its_page(model: str, page: str) -> None:
    schema = layout_schema()
    settings = {"Layout": schema, **schema["$defs"]}[model]["properties"]
    text = (FOLDER / page).read_text("utf-8")
    missing = {each for each in settings if not re.search(rf"\b{each}\b", text)}
    assert missing == set()
