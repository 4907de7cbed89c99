"""Links to folders of the repository: the gallery's leads to its page, others become plain text."""

from pathlib import Path

from sphinx import addnodes

_PAGES = {Path("examples", "gallery"): "docs/gallery/index"}


def setup(app):
    """Register with Sphinx."""
    app.connect("doctree-read", _without_folders)
    return {"parallel_read_safe": True}


def _without_folders(app, doctree):
    for link in list(doctree.findall(addnodes.pending_xref)):
        if link["reftype"] == "myst" and link["refdomain"] is None:
            folder = Path(app.env.doc2path(link["refdoc"])).parent / link["reftarget"]
            if folder.is_dir():
                link.replace_self(_replacement(link, folder.resolve().relative_to(app.srcdir)))


def _replacement(link, folder):
    page = _PAGES.get(folder)
    if page is None:
        return link.children
    return addnodes.pending_xref(
        "", *link.children, refdomain="std", reftype="doc", reftarget=f"/{page}",
        refdoc=link["refdoc"], refexplicit=True,
    )  # fmt: skip
