"""The OpenAPI document of a service, and the same as a page."""

from __future__ import annotations

from html import escape

from .._version import __version__

__all__ = ["document", "page"]

_BYTES, _JSON, _TEXT = "application/octet-stream", "application/json", "text/plain"
_REFUSALS = {
    "400": "damaged, cut off, of another kind, or rows of two models or two sets of keys",
    "401": "no token, or none of this service",
    "404": "an unknown model or job",
    "408": "the client paused for too long while it sent",
    "409": "unknown keys, or keys of other parameters than the model's",
    "411": "a body without Content-Length",
    "413": "a body, or a batch, above the limit",
    "429": "the queue is full; Retry-After says when to try again",
    "503": "the service is about to stop, or no worker is there",
    "507": "no space left",
}

# Path, method, what it does, media types of body and answer, statuses of success and refusal.
_PATHS = [
    ("/health", "get", "Whether rows are computed.", None, _JSON, "200", ["503"]),
    ("/metrics", "get", "Counts and times, for Prometheus.", None, _TEXT, "200", ["401"]),
    ("/v1/models", "get", "Models by name, version and id, and limits of a batch.", None, _JSON,
     "200", ["401"]),
    ("/v1/keys/{id}", "get", "Whether these evaluation keys are here.", None, _JSON, "200",
     ["401", "409"]),
    ("/v1/keys/{id}", "put", "Send evaluation keys: what FheClient.evaluation_keys() gives. Their "
     "id is FheClient.keys_id.", _BYTES, _JSON, "201",
     ["400", "401", "408", "409", "411", "413", "507"]),
    ("/v1/keys/{id}", "delete", "Forget evaluation keys.", None, None, "204", ["401", "409"]),
    ("/v1/jobs/{id}", "put", "Send a batch of rows: for each its length as 4 bytes, little-endian, "
     "and what FheClient.encrypt gives. The client chooses the id, 32 random hexadecimal digits, "
     "and may send the same batch again.", _BYTES, _JSON, "202",
     ["400", "401", "404", "408", "409", "411", "413", "429", "503", "507"]),
    ("/v1/jobs/{id}", "get", "State of a batch, and how many of its rows are done.", None, _JSON,
     "200", ["401", "404"]),
    ("/v1/jobs/{id}", "delete", "Cancel a batch, or forget a finished one.", None, None, "204",
     ["401", "404"]),
    ("/v1/jobs/{id}/outcomes", "get", "Outcomes of rows, in order: 1 byte that is 1 for a response "
     "and 0 for the text of an error, 32 bytes with the SHA-256 of the row, 4 bytes of length, "
     "little-endian, and the response or text.", None, _BYTES, "200", ["401", "404"]),
]  # fmt: skip
_QUERY = {
    "first": "number of the first row that is wanted, from 0 on",
    "wait": "seconds to wait for it, up to 30",
}
_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>qnnprune service</title>
<style>body{font:16px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em}
td{padding:0 1em 0 0;vertical-align:top}code{font-weight:bold}</style>
<h1>Encrypted prediction</h1><p>A row travels encrypted, is computed encrypted, and only its client
can read the answer. <a href="openapi.json">openapi.json</a> says the same to programs.</p>"""


def document() -> dict:
    """The OpenAPI document."""
    paths: dict[str, dict] = {}
    for path, method, *rest in _PATHS:
        paths.setdefault(path, {})[method] = _operation(path, *rest)
    return {
        "openapi": "3.1.0",
        "info": {"title": "qnnprune: encrypted prediction", "version": __version__},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
        "paths": paths,
    }


def _operation(path, about, body, answer, success, refusals) -> dict:
    operation = {"summary": about, "responses": {success: _answer("Done.", answer)}}
    for status in refusals:
        operation["responses"][status] = _answer(_REFUSALS[status], _JSON)
    if body:
        operation["requestBody"] = {"required": True, "content": {body: {}}}
    if "{id}" in path:
        operation["parameters"] = [_parameter("id", "path", "string", "hexadecimal digits")]
    if path.endswith("outcomes"):
        query = [_parameter(name, "query", "integer", about) for name, about in _QUERY.items()]
        operation["parameters"] += query
    if path == "/health":
        operation["security"] = []
    return operation


def _answer(about, kind) -> dict:
    return {"description": about} | ({"content": {kind: {}}} if kind else {})


def _parameter(name, where, kind, about) -> dict:
    required = {"required": True} if where == "path" else {}
    return {"name": name, "in": where, "schema": {"type": kind}, "description": about} | required


def page() -> str:
    """The document as HTML, without scripts."""
    parts = [_HEAD]
    for path, method, about, _, _, success, refusals in _PATHS:
        rows = [(success, "done"), *((status, _REFUSALS[status]) for status in refusals)]
        cells = "".join(f"<tr><td>{status}<td>{escape(text)}" for status, text in rows)
        title = f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
        parts.append(f"{title}<p>{escape(about)}</p><table>{cells}</table>")
    return "\n".join(parts)
