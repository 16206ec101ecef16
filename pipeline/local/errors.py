"""What can go wrong with the local stack."""

NOT_INSTALLED = "the local stack is not installed: pip install 'pantok[local]'"


class LocalStackError(Exception):
    """The local stack could not do what was asked; the message says why and what to do next."""


class EngineDiedError(LocalStackError):
    """The engine's process ended before it answered."""
