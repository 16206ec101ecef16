"""Every way that a job can fail, as codes and positions.

An error here never carries a value that was read from a file: not in its arguments, not in its
text, not in its `repr`. What a person needs is the code, where it happened and what to do.
"""


class PantokError(Exception):
    """The root: a stable `code` for programs and a `detail` for people.

    `detail` names places (a column, a row number, a setting), never content.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else self.code


class PermanentError(PantokError):
    """Trying again cannot help: the file, its layout or the message itself is at fault."""


class TransientError(PantokError):
    """Trying again may help: throttling, a time-out, the network, a permission being repaired."""


class LayoutError(PermanentError):
    """A layout that cannot be used; `mistakes` lists every one found, each with its place."""

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("invalid_layout", "; ".join(mistakes))
        self.mistakes = mistakes
