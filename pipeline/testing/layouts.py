"""Layouts from documents."""

from __future__ import annotations

from pipeline.core.folders import parse_folder_rules
from pipeline.core.jobs import layout_name_of, repaired_job_of
from pipeline.core.layout_documents import parse_layout
from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError


class MemoryLayouts:
    """Layouts by name, from TOML documents; `folders` is the document of the rules for folders."""

    def __init__(self, *documents: str, folders: str = "") -> None:
        layouts = [parse_layout(document.encode()) for document in documents]
        self.layouts = {layout.name: layout for layout in layouts}
        self.folders = folders

    def name_for(self, key: str) -> str:
        """What the rules say, or else the key."""
        own_name = layout_name_of(key)
        if repaired_job_of(key) is not None:
            return own_name
        return parse_folder_rules(self.folders.encode()).layout_for(key) or own_name

    def get(self, name: str) -> Layout:
        """Raises `PermanentError` `unknown_layout`."""
        if name not in self.layouts:
            raise PermanentError("unknown_layout")
        return self.layouts[name]
