"""A service as a process of its own, with compiled networks that take milliseconds a row."""

import os
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import qnnprune

ROOT = Path(qnnprune.__file__).parents[1]


@dataclass
class Serving:
    """``qnnprune serve`` on a free port.

    Attributes
    ----------
    models, state : Path
    options : tuple of str
    """

    models: Path
    state: Path
    options: tuple = ()
    process: subprocess.Popen | None = field(default=None, init=False)
    url: str = field(default="", init=False)

    def __enter__(self):
        command = [sys.executable, "-W", "ignore", "-m", "qnnprune", "serve", str(self.models)]
        command += ["--state", str(self.state), "--port", "0", *map(str, self.options)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        lines = iter(self.process.stdout.readline, "")
        self.url = next((line.split()[-1] for line in lines if "serving at" in line), "")
        assert self.url, "the service did not start"
        return self

    def fill_the_disk(self, most_file_bytes):
        """Let no file of the process grow beyond a size, from now on."""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (most_file_bytes,) * 2)

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    @property
    def token(self):
        """The one that the service made at its first start."""
        return (self.state / "client.token").read_text()

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.token}"}

    def stop(self):
        """Ask it to stop, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=600)

    def workers(self):
        """Ids of the processes that compute."""
        path = Path(f"/proc/{self.process.pid}/task")
        return [
            int(pid) for task in path.iterdir() for pid in (task / "children").read_text().split()
        ]
