"""Sphinx: Markdown in, HTML out. Build with `sphinx-build -W docs docs/_build`."""

from __future__ import annotations

import re
from pathlib import Path

_VERSION = (Path(__file__).parent.parent / "src" / "troth" / "_version.py").read_text(encoding="utf-8")

project = "Troth"
author = "The Troth authors"
copyright = "The Troth authors"  # the name that Sphinx reads
release = version = re.findall(r'__version__ = "(.+)"', _VERSION)[0]

extensions = ["myst_parser"]
exclude_patterns = ["_build", "_source"]
html_theme = "furo"
html_static_path = ["_static"]
html_title = f"Troth {release}"
html_show_copyright = False
html_copy_source = False

myst_heading_anchors = 4
# Output of commands is no language; a pattern that matches nothing waits for pages to come.
suppress_warnings = ["misc.highlighting_failure", "toc.empty_glob"]
highlight_language = "none"
nitpicky = True
