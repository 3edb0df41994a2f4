"""How the manual is built: Sphinx reads Markdown, and tables that the source already holds."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import channel_tables
import tables

project = "dualcopy"
author = "The dualcopy authors"
copyright = "The dualcopy authors, MIT licence"

extensions = ["myst_parser"]
exclude_patterns = ["_build", "_generated"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = "dualcopy"
html_copy_source = False

tables.write(Path(__file__).parents[2], Path(__file__).parent / "_generated")
channel_tables.write(Path(__file__).parents[2], Path(__file__).parent / "_generated")
