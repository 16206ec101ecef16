"""Arrow, loaded when it is first used.

For modules that see columns or single texts: whoever gives them texts alone, as the API and the
filter of logs do, starts in half the time without a hundred megabytes of libraries.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
else:

    class _OnUse:
        """A module that is imported when something of it is asked for."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            found = getattr(importlib.import_module(self._name), name)
            setattr(self, name, found)  # the next time, nobody asks here
            return found

    pa = _OnUse("pyarrow")
    pc = _OnUse("pyarrow.compute")
    pq = _OnUse("pyarrow.parquet")

__all__ = ["pa", "pc", "pq"]
