"""Settings of the site. `docs/build.py` lays the pages out in `_proc/site` and calls Sphinx with them."""

import hashlib
import sys
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "docs"), str(ROOT)]

_parser = ConfigParser(delimiters=["="])
_parser.read(ROOT / "settings.ini", encoding="utf-8")
_settings = _parser["DEFAULT"]

project = _settings["title"]
author = _settings["author"]
copyright = _settings["copyright"]
REPOSITORY = f"{_settings['git_url']}/blob/{_settings['branch']}"
version = release = _settings["version"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinx.ext.mathjax", "sphinx_copybutton"]
extensions += ["docments", "glossary_links", "record_pages"]  # beside this file
source_suffix = {".ipynb": "myst-nb", ".md": "myst-nb", ".rst": "restructuredtext"}

# Notebooks are shown with the outputs they are committed with; nothing is run.
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"
myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

# The API reference: what `__all__` names, in the order of the notebook; parameters come from docments.
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"  # `docments` gives them, beside the comments
add_module_names = False
viewcode_line_numbers = True
viewcode_follow_imported_members = False  # or decorated functions lead into the standard library
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "icckd"
html_static_path = [
    "static",
    str(ROOT / "_proc" / "static"),
]  # the second: MathJax and the tables' script, from packages
html_css_files = ["style.css"]
html_js_files = ["site.js"]
html_search_scorer = str(ROOT / "docs" / "search_scores.js")
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
pygments_style = "a11y-light"  # contrast of 4.5 and more
pygments_dark_style = "a11y-dark"

# One script that holds its glyphs as outlines: no font and no second file is fetched, so it works from file://.
mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}, "svg": {"fontCache": "global"}}


def setup(app):
    "All pages are read again when the code beside this file or the glossary changes."
    files = [*sorted((ROOT / "docs").glob("*.py")), ROOT / "docs" / "guide" / "glossary.md"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    app.add_config_value("site_code", digest, "env")
