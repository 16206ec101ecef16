"""Which folder of the intake has which layout, where that is not the folder's own name.

The rules are a TOML document beside the layouts, `folders.toml`:

    "incoming/partner-x/" = "acquirer-pipe"
    "incoming/partner-x/adjustments/" = "auto"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.core.guard import could_hold_pan
from pipeline.core.jobs import INTAKE_PREFIX
from pipeline.core.layout_documents import parse_toml
from pipeline.core.layouts import NAME
from pipeline.errors import LayoutError

FOLDERS_DOCUMENT = "folders.toml"


@dataclass(frozen=True, slots=True)
class FolderRules:
    """Layout names by folder; of two folders that both hold a file, the longer one counts."""

    layouts: Mapping[str, str]

    def layout_for(self, key: str) -> str | None:
        """The layout of an object key; None where no rule speaks of it."""
        folders = [folder for folder in self.layouts if key.startswith(folder)]
        return self.layouts[max(folders, key=len)] if folders else None


NO_RULES = FolderRules({})


def parse_folder_rules(document: bytes) -> FolderRules:
    """The rules in a TOML document; raises `LayoutError` with each mistake."""
    unverified = parse_toml(document)
    mistakes = [
        f"{FOLDERS_DOCUMENT}: {_shown(folder)}: {mistake}"
        for folder, layout in unverified.items()
        if (mistake := _mistake(folder, layout))
    ]
    if mistakes:
        raise LayoutError(tuple(mistakes))
    return FolderRules(unverified)


def _mistake(folder: str, layout: object) -> str:
    is_below_intake = folder.startswith(INTAKE_PREFIX) and len(folder) > len(INTAKE_PREFIX)
    if not (is_below_intake and folder.endswith("/")):
        return f"a folder begins with {INTAKE_PREFIX}, has a name, and ends with /"
    if not isinstance(layout, str) or not re.fullmatch(NAME, layout):
        return "needs the name of a layout, in quotes"
    return ""


def _shown(folder: str) -> str:
    return "[long number]" if could_hold_pan(folder) else folder
