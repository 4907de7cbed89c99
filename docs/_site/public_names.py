"""The reference: a page per public name, and a link wherever a page names one.

Which packages are public is what docs/api.md says; their ``__all__`` says the rest.  A name that
several packages have gets its page where it is listed first.
"""

import functools
import importlib
import inspect
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util.inspect import stringify_signature

_NO_LINKS = (nodes.title, nodes.reference, addnodes.pending_xref, addnodes.download_reference)
_FOLDER = Path("docs", "reference")
_PACKAGE = """\
{package}
{line}

.. automodule:: {package}
"""
_NAMES = """
.. autosummary::
   :nosignatures:
{option}
   {names}
"""


def setup(app):
    """Register with Sphinx."""
    app.connect("config-inited", _write_packages)  # before Sphinx looks for pages
    app.connect("autodoc-skip-member", _skip_foreign)
    app.connect("autodoc-process-signature", _signature)
    app.add_transform(_Links)
    return {"parallel_read_safe": True}


@functools.cache
def _public(root) -> dict[str, dict[str, str]]:
    """Per package: its public classes and functions, with the full name that each has a page as."""
    headings = Path(root, "docs", "api.md").read_text(encoding="utf-8")
    found, first = {}, {}
    for package in re.findall(r"^## `([\w.]+)`$", headings, flags=re.M):
        module = importlib.import_module(package)
        members = {name: getattr(module, name) for name in module.__all__}
        found[package] = {
            name: first.setdefault(member, f"{package}.{name}")
            for name, member in sorted(members.items())
            if callable(member)
        }
    return found


def _write_packages(app, config):
    folder = Path(app.srcdir, _FOLDER)
    folder.mkdir(exist_ok=True)
    for package, names in _public(app.srcdir).items():
        text = _package_page(package, names)
        page = folder / f"{package}.rst"
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def _package_page(package: str, names: dict[str, str]) -> str:
    text = _PACKAGE.format(package=package, line="=" * len(package))
    here = [name for name, path in names.items() if path == f"{package}.{name}"]
    elsewhere = [f"~{path}" for name, path in names.items() if name not in here]
    for option, listed in (("   :toctree: .\n", here), ("", elsewhere)):
        if listed:
            text += _NAMES.format(option=option, names="\n   ".join(listed))
    return text


def _skip_foreign(app, what, name, member, skip, options):
    """Leave out what a class inherits from other packages."""
    member = getattr(member, "fget", member)
    module = getattr(member, "__module__", None)
    return True if module is not None and not module.startswith("qnnprune") else None


def _signature(app, what, name, member, options, signature, return_annotation):
    """Show what `inspect.signature` and scikit-learn see of a class, whatever its __new__ takes."""
    if what != "class":
        return None
    return stringify_signature(inspect.signature(member), show_annotation=False), None


class _Links(SphinxTransform):
    """Makes a link of each public name, and of each public package, in code font."""

    default_priority = 500

    def apply(self, **options):
        """Replace the names in the document."""
        public = _public(self.app.srcdir)
        targets = {package: package for package in public if "." in package}  # qnnprune: a command
        for names in public.values():
            targets |= names
        for literal in list(self.document.findall(nodes.literal)):
            target = targets.get(literal.astext())
            inside = isinstance(literal.parent, _NO_LINKS)
            if target is not None and not inside:
                literal.replace_self(_link(target, literal, self.env.docname))


def _link(target, literal, docname):
    return addnodes.pending_xref(
        "", literal.deepcopy(), refdomain="py", reftype="obj", reftarget=target, refdoc=docname,
        refexplicit=True,
    )  # fmt: skip
