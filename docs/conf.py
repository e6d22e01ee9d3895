"""How Sphinx builds the documentation."""

import logging
import re
from pathlib import Path

_package = Path(__file__).parent.parent / "django_mirrors" / "__init__.py"

project = "django_mirrors"
author = "The django_mirrors authors"
copyright = f"2026, {author}"
version = release = re.search(r'__version__ = "(.+)"', _package.read_text())[1]

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
nitpicky = True

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"django_mirrors {release}"

# A folder without pages yet is no error. Sphinx gives this warning no type, so that
# `suppress_warnings` cannot name it.
logging.getLogger("sphinx.sphinx.directives.other").addFilter(
    lambda record: getattr(record, "subtype", None) != "empty_glob"
)
