"""How Sphinx builds these pages: warnings are errors, and nothing is fetched."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

here = Path(__file__).parent
sys.path.insert(0, str(here / "inventories"))

import make  # noqa: E402 - found through the line above

project = "shoal"
author = "The shoal authors"
copyright = "The shoal authors"
release = version = version_of("shoal")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "inventories"]
html_theme = "furo"
html_title = f"shoal {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

default_role = "code"
nitpicky = True
nitpick_ignore_regex = [("py:(class|obj)", r"shoal\.([a-z_]+\.)*[A-Z]")]  # Type variables.
intersphinx_mapping = {
    name: (site, str(inventory)) for name, site, inventory in make.inventories(here / "_build")
}
