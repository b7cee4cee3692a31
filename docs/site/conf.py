"""Sphinx's configuration for the site that `make docs` builds.

The source folder is the repository's, so that links between documents are the same on the site and
in a checkout. Nothing in the pages comes from another host.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PACKAGE = (ROOT / "imagebuild" / "__init__.py").read_text(encoding="utf-8")

project = "imagebuild"
author = "the imagebuild authors"
release = version = re.findall(r'^__version__ = "(.+)"$', _PACKAGE, re.MULTILINE)[0]
html_title = f"imagebuild {release}"

extensions = ["myst_parser"]
root_doc = "docs/site/index"
include_patterns = ["README.md", "NEWS.md", "docs/**.md", "docs/site/index.md"]
myst_heading_anchors = 4
# `make docs` makes warnings errors: a link to a missing page, file or heading ends the build.
nitpicky = True
# Not worth a warning: an example in a language that the highlighter does not know, or cut short.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_extra_path = ["root"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
