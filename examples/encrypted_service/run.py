"""One service and two clients on this machine, each a process of its own.

    python examples/encrypted_service/run.py

compose.yaml does the same with containers.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from prepare import prepare

HERE = Path(__file__).parent


def main() -> None:
    """Prepare, serve, ask twice at the same time, stop."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        state = folder / "state"
        command = [sys.executable, "-m", "qnnprune", "serve", str(folder / "server")]
        command += ["--state", str(state), "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
            try:
                lines = iter(service.stdout.readline, "")
                url = next(line.split()[-1] for line in lines if "serving at" in line)
                ask = [sys.executable, str(HERE / "ask.py"), url, str(state / "client.token")]
                asked = [[*ask, str(folder), "--first", str(first)] for first in (0, 3)]
                clients = [subprocess.Popen(each) for each in asked]
                codes = [client.wait() for client in clients]
            finally:
                service.terminate()
        print(f"clients ended with {codes}, the service with {service.returncode}")
    raise SystemExit(max(codes) or service.returncode)


if __name__ == "__main__":
    main()
