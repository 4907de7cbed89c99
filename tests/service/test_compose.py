"""The example's compose.yaml against what it refers to; no container is started."""

import re
import shlex
import sys
from pathlib import Path

import pytest

import qnnprune
from qnnprune.cli import _serve

yaml = pytest.importorskip("yaml")

FOLDER = Path(qnnprune.__file__).parents[1] / "examples" / "encrypted_service"


@pytest.fixture(scope="module")
def compose():
    if not FOLDER.is_dir():
        pytest.skip("the examples are not installed")
    return yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))


def commands(service):
    """Each command of a service as words, those of a shell one by one, without redirections."""
    words = shlex.split(service["command"])
    if words[:2] == ["sh", "-c"]:
        (script,) = words[2:]
        return [shlex.split(part.partition(">")[0]) for part in script.split("&&")]
    return [words]


def places(service):
    """Where a service sees which volume, and whether it may write there."""
    mounts = [mount.split(":") for mount in service["volumes"]]
    return {place: (name, rest != ["ro"]) for name, place, *rest in mounts}


def test_volumes_networks_and_files_are_there(compose):
    services = compose["services"]
    names = {name for service in services.values() for name, _ in places(service).values()}
    assert names == set(compose["volumes"])
    networks = {name for service in services.values() for name in service.get("networks", [])}
    assert networks == set(compose["networks"])
    build = services["prepare"]["build"]
    context = (FOLDER / build["context"]).resolve()
    assert (context / build["dockerfile"]).samefile(FOLDER / "Dockerfile")
    assert (context / "setup.cfg").is_file()
    needed = re.findall(r"-c (\S+)", (FOLDER / "Dockerfile").read_text())
    assert needed and all((context / name).is_file() for name in needed)
    assert {service["image"] for service in services.values()} == {services["prepare"]["image"]}
    for service in services.values():
        assert set(service.get("depends_on", [])) <= set(services)


def test_programs_take_their_arguments(compose, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import ask

    asked = []
    monkeypatch.setattr(ask, "ask", lambda *given: asked.append(given) or True)
    monkeypatch.setattr(Path, "read_text", lambda path: "token\n")
    served = []
    for service in compose["services"].values():
        for program, *words in commands(service):
            if program == "qnnprune":
                assert words.pop(0) == "serve"
                served.append(_serve._parser().parse_args(words))
                _serve._check_connection(served[-1])
            elif program == "python" and words[0] == "ask.py":
                monkeypatch.setattr(sys, "argv", words)
                with pytest.raises(SystemExit, match="0"):
                    ask.main()
            else:
                assert program in ("rm", "cp", "chown", "python")
                assert program != "python" or (FOLDER / words[0]).is_file()
    (token,) = [args for args in served if args.new_token]
    (service,) = [args for args in served if not args.new_token]
    seen = places(compose["services"]["service"])
    assert seen[service.state] == ("state", True) and seen[service.models] == ("server", False)
    assert token.state == service.state
    ((url, _, folder, *_),) = asked
    assert url == f"http://service:{service.port}"
    client = places(compose["services"]["client"])
    assert client[str(folder)] == ("client", False), "the client gets what is its own, no more"
