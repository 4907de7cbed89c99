"""Refusals, each with a name, a status and a sentence that says what to do."""

from __future__ import annotations

__all__ = ["Problem"]


class Problem(Exception):
    """A request that is refused.

    Parameters
    ----------
    status : int
        Of HTTP.
    code : str
        Name for programs.
    message : str
        For people.
    retry_after : int, optional
        Seconds after which to try again.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: int | None = None):
        super().__init__(message)
        self.status, self.code, self.retry_after = status, code, retry_after

    def json(self) -> dict:
        """The body of the refusal."""
        return {"error": self.code, "message": str(self)}

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to it."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})
