"""The process that computes: it gets models, evaluation keys and encrypted rows, and no network.

    python -m qnnprune.service._worker MEMORY_BYTES FOLDER...

It speaks with the service over its standard streams alone.  Each message is a line of JSON, and
then as many bytes as its "size" says.  The first one that it sends says what models it has.
"""

from __future__ import annotations

import json
import os
import sys
from collections import OrderedDict
from pathlib import Path

from ..export.fhe._messages import digest
from ._sandbox import shut_in

__all__ = ["main"]


class _Computer:
    """Servers by folder, and the keys that fit into memory, the most recent ones last."""

    def __init__(self, most_bytes: int, folders: list[str]):
        from ..export.fhe import FheServer

        self.most_bytes = most_bytes
        self.servers = {folder: FheServer.load(folder) for folder in folders}
        self._held: OrderedDict[tuple[str, str], None] = OrderedDict()  # folder and id of keys

    def models(self) -> list[dict]:
        """What the service must know of each model."""
        return [
            {
                "folder": folder,
                "model_id": server.model_id,
                "parameters_id": server.parameters_id,
                "sent_key_bytes": server.key_sizes[0],
                "held_key_bytes": server.key_sizes[1],
            }
            for folder, server in self.servers.items()
        ]

    def run(self, folder: str, keys_id: str, keys: str, row: bytes) -> bytes:
        """The response to a row, with keys that are held, or else read from a file."""
        self._hold(folder, keys_id, keys)
        return self.servers[folder].run(row)

    def _hold(self, folder: str, keys_id: str, keys: str) -> None:
        if (folder, keys_id) in self._held:
            self._held.move_to_end((folder, keys_id))
            return
        size = self.servers[folder].key_sizes[1]
        while self._held and self._n_bytes() + size > self.most_bytes:
            (former, old_id), _ = self._held.popitem(last=False)
            self.servers[former].forget_keys(old_id)
        self._held[folder, self.servers[folder].accept_keys(Path(keys).read_bytes())] = None

    def _n_bytes(self) -> int:
        return sum(self.servers[folder].key_sizes[1] for folder, _ in self._held)


def main(argv: list[str]) -> None:
    """Load the models, give up the network, and answer until the service closes the stream."""
    received, sent = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get among the messages
    computer = _Computer(int(argv[0]), argv[1:])
    shut_in()
    _send(sent, {"models": computer.models()})
    while line := received.readline():
        asked = json.loads(line)
        row = received.read(asked["size"])
        try:
            ok, body = True, computer.run(*asked["about"], row)
        except (OSError, TypeError, ValueError) as error:
            ok, body = False, str(error).encode()
        _send(sent, {"ok": ok, "row": digest(row)}, body)


def _send(stream, head: dict, body: bytes = b"") -> None:
    stream.write(json.dumps(head | {"size": len(body)}).encode() + b"\n" + body)
    stream.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
