"""The command ``qnnprune serve``: a service for encrypted prediction."""

from __future__ import annotations

import argparse
import ipaddress
import logging
from pathlib import Path

from ._arguments import command_parser, width
from ._errors import InputError

__all__ = ["serve_folder"]

_DESCRIPTION = """\
Serve encrypted predictions of compiled networks: a folder that save_server wrote, or one with many
of them as NAME/VERSION. Needs the extra "serve". SIGTERM stops it once accepted rows are done.
"""
_EPILOG = """\
examples:
  %(prog)s server --state state
  %(prog)s server --state state --new-token clinic
  %(prog)s models --state state --host 0.0.0.0 --port 8443 --tls-cert cert.pem --tls-key key.pem
"""
# Limits: options of `Settings`, what they count, and whether fractions make sense.
_LIMITS = {
    "workers": ("processes that compute", int),
    "queue_rows": ("accepted rows that may wait; more are refused with 429", int),
    "batch_rows": ("rows of one request", int),
    "row_bytes": ("size of one encrypted row", int),
    "keys_bytes": ("disk space for clients' keys; those used least recently go first", int),
    "owner_keys": ("sets of keys per token", int),
    "memory_bytes": ("memory for keys, per worker", int),
    "row_seconds": ("time after which a row is given up", float),
    "body_seconds": ("time that a client may pause while it sends", float),
    "keep_seconds": ("time for which finished rows wait to be fetched", float),
    "stop_seconds": ("time to finish accepted rows before a stop", float),
}


def serve_folder(argv: list[str]) -> int:
    """Serve until a signal asks to stop, or make a token.

    Parameters
    ----------
    argv : list of str
        Arguments after the word "serve".

    Returns
    -------
    int
        Exit code 0.

    Raises
    ------
    InputError
        After a mistake in the arguments, or where the service cannot start.
    """
    args = _parser().parse_args(argv)
    _check_connection(args)
    from ..service import Settings, serve

    limits = {name: getattr(args, name) for name in _LIMITS if getattr(args, name) is not None}
    settings = Settings(Path(args.models), Path(args.state), **limits)
    logging.basicConfig(format="qnnprune: %(message)s", level=logging.WARNING)
    try:
        if args.new_token:
            print(_tokens(settings.state).add(args.new_token))
            return 0
        tokens = None if args.no_tokens else _at_least_one(_tokens(settings.state))
        options = {"ssl_certfile": args.tls_cert, "ssl_keyfile": args.tls_key}
        options = {name: value for name, value in options.items() if value}
        serve(
            settings, host=args.host, port=args.port, tokens=tokens, announce=_announce, **options
        )
    except (ImportError, RuntimeError, ValueError) as error:
        raise InputError(str(error)) from error
    return 0


def _tokens(state: Path):
    from ..service import Tokens

    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Tokens(state / "tokens.json")


def _at_least_one(tokens):
    """The tokens; where there is none yet, one is made, and a file tells it to its owner alone."""
    if not tokens:
        from .._files import write_whole

        path = tokens.path.with_name("client.token")
        write_whole(path, tokens.add("client").encode(), mode=0o600)
        print(f"qnnprune: a token for clients is in {path}", flush=True)
    return tokens


def _announce(url: str):
    print(f"qnnprune: serving at {url}", flush=True)


def _check_connection(args):
    if bool(args.tls_cert) != bool(args.tls_key):
        raise InputError("--tls-cert and --tls-key belong together.")
    if _is_loopback(args.host) or args.tls_cert or args.behind_proxy:
        return
    raise InputError(
        f"--host {args.host} is open to other machines, and tokens would travel unencrypted: give "
        "--tls-cert and --tls-key, or --behind-proxy where a proxy does TLS."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _number(kind: type):
    def parse(text):
        try:
            number = kind(text)
        except ValueError:
            number = 0
        if not 0 < number < 2**62:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
        return number

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("serve", _DESCRIPTION, _EPILOG)
    add = parser.add_argument
    add("models", metavar="FOLDER", help="what save_server wrote, or many as NAME/VERSION")
    add(
        "--state", default="state", metavar="FOLDER",
        help="for tokens, keys and accepted rows; kept over restarts (default: state)",
    )  # fmt: skip
    add("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    add("--port", type=width(0, 65535), default=8000, help="0 takes a free one (default: 8000)")
    add("--tls-cert", metavar="FILE", help="certificate, for https")
    add("--tls-key", metavar="FILE", help="its key")
    add("--behind-proxy", action="store_true", help="a proxy does TLS: other hosts without it")
    tokens = parser.add_mutually_exclusive_group().add_argument
    tokens("--new-token", metavar="NAME", help="make a token, print it, and end")
    tokens("--no-tokens", action="store_true", help="let anybody in")
    for name, (about, kind) in _LIMITS.items():
        add("--" + name.replace("_", "-"), type=_number(kind), metavar="N", help=about)
    return parser
