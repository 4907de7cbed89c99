"""Settings of the site.

Sphinx reads from the root of the repository, so that links between pages, benchmarks and files lead
to the same places here as in a checkout:

    sphinx-build -W --keep-going -c docs . build/site
"""

import sys
from pathlib import Path

from qnnprune import __version__

HERE = Path(__file__).parent / "_site"
sys.path.insert(0, str(HERE))

project = "qnnprune"
author = copyright = "The qnnprune developers"
version = release = __version__
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "public_names",
    "repository_links",
]
root_doc = "docs/index"
include_patterns = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/*.md",
    "docs/**",
]
exclude_patterns = [
    ".*", "*.egg-info", "build", "dist", "qnnprune", "tests", "docs/_site",
    "docs/gallery/**.py", "docs/gallery/**.ipynb", "docs/gallery/**.json",
]  # fmt: skip
templates_path = [str(HERE / "templates")]

# Pages are Markdown; their headings are link targets, as on hosts of code.
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # a page may begin below its title

# The reference.
autosummary_generate = True
autodoc_typehints = "none"  # numpydoc has the types
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # the templates list them
numpydoc_class_members_toctree = False

# Inventories are kept here: the build needs no network.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3/", "docs/_site/inventories/python.inv"),
    "numpy": ("https://numpy.org/doc/stable/", "docs/_site/inventories/numpy.inv"),
    "sklearn": ("https://scikit-learn.org/stable/", "docs/_site/inventories/sklearn.inv"),
}

sphinx_gallery_conf = {
    "examples_dirs": "examples/gallery",
    "gallery_dirs": "docs/gallery",
    "backreferences_dir": "docs/reference/examples",
    "doc_module": ("qnnprune",),
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "capture_repr": (),
    "write_computation_times": False,
    "plot_gallery": "True",
}

html_theme = "pydata_sphinx_theme"
html_title = "qnnprune"
html_favicon = "_site/static/icon.svg"
html_context = {"default_mode": "auto"}
# Pages without others below them have nothing to navigate to.
html_sidebars = {"docs/install": [], "docs/getting_started": []}
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
html_extra_path = ["_site/root"]  # sends visitors of the root to the first page
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {
        "text": "qnnprune",
        "image_light": "_static/icon.svg",
        "image_dark": "_static/icon.svg",
    },
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 3,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_version_warning_banner": False,
}
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
