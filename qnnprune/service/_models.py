"""The models of a service, by name, version and id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..export.fhe._messages import short
from ._problems import Problem

__all__ = ["Model", "Models", "model_folders"]

_LIST = "model.json"


@dataclass(frozen=True)
class Model:
    """A compiled network, as a worker knows it.

    Attributes
    ----------
    name, version : str
        Of its folder.
    folder : str
        What `EncryptedNetwork.save_server` wrote.
    model_id, parameters_id : str
        Of the network, and of what its keys are made of.
    sent_key_bytes, held_key_bytes : int
        Of a client's keys, on their way and in memory.
    """

    name: str
    version: str
    folder: str
    model_id: str
    parameters_id: str
    sent_key_bytes: int
    held_key_bytes: int

    def public(self) -> dict:
        """What clients may know."""
        return {name: value for name, value in vars(self).items() if name != "folder"}

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({short(self.model_id)})"


def model_folders(folder: Path) -> list[tuple[str, str, Path]]:
    """Name, version and folder of each model.

    Raises
    ------
    ValueError
        If there is none.
    """
    folder = Path(folder)
    if (folder / _LIST).is_file():
        return [(folder.resolve().name, "1", folder)]
    found = sorted(path.parent for path in folder.glob(f"*/*/{_LIST}"))
    if not found:
        raise ValueError(
            f"There is no model in {str(folder)!r}: name a folder that save_server wrote, or one "
            "with such folders as NAME/VERSION."
        )
    return [(path.parent.name, path.name, path) for path in found]


class Models:
    """The models that are served."""

    def __init__(self, models: list[Model]):
        self._by_id = {model.model_id: model for model in models}

    def __iter__(self):
        return iter(self._by_id.values())

    def get(self, model_id: str) -> Model:
        """A model by its id.

        Raises
        ------
        Problem
            If it is not served; those that are, are named.
        """
        if model_id not in self._by_id:
            raise Problem(
                404,
                "unknown_model",
                f"Model {short(model_id)} is not served here, but {', '.join(map(str, self))}: "
                "get the client's folder of one of these.",
            )
        return self._by_id[model_id]

    def key_bytes(self, parameters_id: str) -> int:
        """Size of keys of these parameters as they are sent.

        Raises
        ------
        Problem
            If no model has them.
        """
        sizes = {model.parameters_id: model.sent_key_bytes for model in self}
        if parameters_id not in sizes:
            raise Problem(
                409,
                "other_parameters",
                f"No model here takes keys of the parameters {short(parameters_id)}: get the "
                "client's folder of a served model, and make new keys with keygen().",
            )
        return sizes[parameters_id]

    @property
    def most_key_bytes(self) -> int:
        """Size of the largest keys as they are sent."""
        return max(model.sent_key_bytes for model in self)
