"""The base of every exception that heliograph defines."""


class HeliographError(Exception):
    """Base class: what is caught as this was raised on purpose, everything else is a bug or another library's."""
