"""The error of the command line."""

__all__ = ["InputError"]


class InputError(Exception):
    """A mistake in what the user gave; its text is the one line that is shown."""
