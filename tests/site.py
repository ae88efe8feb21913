"""The notebooks as a site in _docs, without quarto: `python tests/site.py build`, and `check` for what a reader would trip over.

nbdev hides what its directives hide, nbconvert makes HTML; nothing is run again (nbdev's own `proc_nbs` would run every cell that imports something). Formulas are set by MathJax, which pages load from its CDN;
`MATHJAX=path/to/tex-chtml.js` names a local copy. Without either they stand as TeX.
"""

import json
import os
import re
import shutil
import sys
from html import escape
from html.parser import HTMLParser
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import unquote, urldefrag

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "_docs"
MATHJAX = os.environ.get("MATHJAX", "https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-chtml.js")
FOLDERS = {  # in reading order
    "": "Start",
    "tutorials": "Tutorials",
    "papers": "Papers: tables and figures",
    "results": "Reports of other profiles",
    "run": "Runs",
    "losses": "Losses",
    "models": "Networks",
    "data": "Data",
    "training": "Training",
    "evaluation": "Evaluation",
    "reporting": "Reporting",
    "golden": "Golden cases",
    "core": "Core",
    "benchmarks": "Time and memory",
}
STYLE = """
:root { --ink: #1f2430; --soft: #5c6370; --line: #e3e5ea; --ground: #f6f7f9; --link: #0b5cad; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); font: 16px/1.6 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
a { color: var(--link); text-decoration: none; } a:hover { text-decoration: underline; }
nav { position: fixed; top: 0; bottom: 0; left: 0; width: 17rem; padding: 1rem 1.2rem 3rem; overflow-y: auto; background: var(--ground); border-right: 1px solid var(--line); font-size: .9rem; }
nav .name { font-weight: 700; font-size: 1.2rem; color: var(--ink); display: block; margin-bottom: .6rem; }
nav summary { cursor: pointer; font-weight: 600; padding: .15rem 0; } nav ul { margin: 0 0 .4rem; padding-left: 1rem; list-style: none; } nav .here { font-weight: 700; color: var(--ink); }
main { margin-left: 17rem; padding: 1.5rem 2.5rem 5rem; max-width: 62rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: .4rem 0 .8rem; } h2 { font-size: 1.4rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; } h3 { margin-top: 1.6rem; }
blockquote { margin: 0 0 1.2rem; padding: .2rem 0 .2rem 1rem; border-left: 4px solid var(--link); color: var(--soft); font-size: 1.1rem; }
pre { margin: 0; overflow-x: auto; font: .82rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace; } code { font: .88em ui-monospace, "DejaVu Sans Mono", monospace; background: var(--ground); padding: .1em .25em; border-radius: 3px; }
pre code { background: none; padding: 0; font-size: 1em; } .highlight { background: var(--ground); border: 1px solid var(--line); border-radius: 5px; padding: .6rem .9rem; margin: .8rem 0 .3rem; }
.text_cell_render > pre { background: var(--ground); border: 1px solid var(--line); border-radius: 5px; padding: .6rem .9rem; }
.output { margin: .2rem 0 1rem; padding-left: .9rem; border-left: 3px solid var(--line); overflow-x: auto; } .output.error, .output .stderr { border-left-color: #c0392b; }
table { border-collapse: collapse; font-size: .88rem; margin: .6rem 0; display: block; overflow-x: auto; } th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { background: var(--ground); } img { max-width: 100%; } .anchor-link { visibility: hidden; margin-left: .3rem; } h1:hover .anchor-link, h2:hover .anchor-link, h3:hover .anchor-link { visibility: visible; }
footer { margin-top: 3rem; padding-top: .8rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .85rem; }
@media (max-width: 60rem) { nav { position: static; width: auto; border-right: 0; border-bottom: 1px solid var(--line); padding-bottom: 1rem; } main { margin-left: 0; padding: 1rem; } }
"""


def sources():
    """page path in the site -> notebook."""
    pages = {}
    for path in sorted((ROOT / "nbs").rglob("*.ipynb")):
        name = path.relative_to(ROOT / "nbs")
        if not any(part[0] in "._" for part in name.parts):
            pages[str(name.with_suffix(".html"))] = path
    for path in sorted(
        (ROOT / "results").glob("*/reports/[!.]*.ipynb")
    ):  # a paper's page is its report as executed for `quick`; other profiles have pages of their own
        pages[
            f"papers/{path.stem}.html" if path.parts[-3] == "quick" else f"results/{path.parts[-3]}/{path.stem}.html"
        ] = path
    return pages


def titles_of(pages):
    """page -> (title, claim); reports of other profiles say which."""
    found = {page: heading(path) for page, path in pages.items()}
    return {
        page: (f"{title} ({page.split('/')[1]})" if page.startswith("results/") else title, claim)
        for page, (title, claim) in found.items()
    }


def heading(path):
    """(title, one-line claim) of a notebook, from its first cell: the quoted paragraph below the title, else the first sentence."""
    lines = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]).splitlines()
    title = next((line[2:].strip() for line in lines if line.startswith("# ")), path.stem)
    paragraphs = [p for p in "\n".join(lines).split("\n\n") if not p.startswith("# ")]
    claim = next((" ".join(line.lstrip("> ") for line in p.splitlines()) for p in paragraphs if p.startswith(">")), "")
    return title, claim or (paragraphs[0].partition(". ")[0].rstrip(".") + "." if paragraphs else "")


def relative(page, target):
    """The link from one page to another."""
    return os.path.relpath(target, os.path.dirname(page) or ".").replace(os.sep, "/")


def grouped(pages):
    """folder title -> [(page, title)], in reading order; folders that are not listed above come last."""
    order = [*FOLDERS, *sorted({p.partition("/")[0] for p in pages if "/" in p} - set(FOLDERS))]
    groups = {}
    for folder in order:
        inside = [p for p in pages if (p.partition("/")[0] if "/" in p else "") == folder]
        if inside:
            groups[folder] = sorted(inside, key=lambda p: (p != "index.html", p))
    return groups


def navigation(page, groups, titles):
    """The sidebar."""
    parts = [
        f'<a class="name" href="{relative(page, "index.html")}">icckd</a>',
        f'<a href="{relative(page, "contents.html")}">All pages</a>',
    ]
    for folder, inside in groups.items():
        items = "".join(
            f'<li><a {"class=here " if p == page else ""}href="{relative(page, p)}">{escape(titles[p][0])}</a></li>'
            for p in inside
        )
        opened = " open" if page in inside or folder in ("", "tutorials") else ""
        parts.append(
            f"<details{opened}><summary>{escape(FOLDERS.get(folder, folder))}</summary><ul>{items}</ul></details>"
        )
    return "<nav>" + "\n".join(parts) + "</nav>"


def wrapped(page, title, body, groups, titles, source=""):
    """A whole page."""
    math = (
        f'<script>MathJax = {{tex: {{inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]]}}}};</script><script defer src="{MATHJAX}"></script>'
        if has_math(body)
        else ""
    )
    note = "Formulas are set by MathJax; where it cannot be loaded they stand as TeX." if math else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)} · icckd</title>'
        f'<link rel="stylesheet" href="{relative(page, "style.css")}">{math}</head><body>{navigation(page, groups, titles)}<main>{body}'
        f"<footer>{f'Source: <code>{escape(source)}</code>. ' if source else ''}{note}</footer></main></body></html>\n"
    )


def has_math(body):
    """Whether a page has formulas outside code."""
    text = re.sub(r"<(pre|code)\b.*?</\1>", "", body, flags=re.S)
    return bool(re.search(r"\$[^$\n]+\$|\\\(|\$\$", text))


def convert(job):
    """Writes one page."""
    page, path, groups, titles = job
    import nbformat
    from nbconvert import HTMLExporter

    notebook = processed(path)
    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(nbformat.reads(json.dumps(notebook), 4))
    body = re.sub(r'(href="(?!https?:)[^"#]+)\.ipynb([#"])', r"\1.html\2", body)
    target = DOCS / page
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        wrapped(page, titles[page][0], body, groups, titles, str(path.relative_to(ROOT))), encoding="utf-8"
    )


def processed(path):
    """The notebook as a page: nbdev's processors hide what directives hide; exported code stays, it is what the equations turn into. No cell is run again."""
    os.chdir(ROOT)
    from execnb.nbio import nb2dict, read_nb
    from nbdev import processors

    class Pages(processors.FilterDefaults):
        def base_procs(self):
            return [
                p
                for p in super().base_procs()
                if p.__name__
                in ("populate_language", "strip_ansi", "hide_line", "filter_stream_", "clean_magics", "hide_")
            ]

    notebook = read_nb(path)
    Pages()(notebook)
    cells = nb2dict(notebook)["cells"]
    for cell in cells:
        cell["source"] = "\n".join(line for line in "".join(cell["source"]).split("\n") if not line.startswith("#|"))
        for private in set(cell) - {
            "cell_type",
            "metadata",
            "source",
            "outputs",
            "execution_count",
            "id",
            "attachments",
        }:
            del cell[private]
    shown = [c for c in cells if c["source"].strip() and "injected-parameters" not in c["metadata"].get("tags", [])]
    return {"cells": shown, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}


def build():
    """Writes the site."""
    from nbconvert import HTMLExporter  # noqa: F401  fails here, in one place, where nbconvert is missing
    from pygments.formatters import HtmlFormatter

    shutil.rmtree(DOCS, ignore_errors=True)
    DOCS.mkdir()
    pages = sources()
    (DOCS / "style.css").write_text(
        STYLE + HtmlFormatter(style="default", nobackground=True).get_style_defs(".highlight"), encoding="utf-8"
    )
    titles, groups = titles_of(pages), grouped(pages)
    with get_context("spawn").Pool(2) as pool:
        pool.map(convert, [(page, path, groups, titles) for page, path in pages.items()], chunksize=4)
    body = "<h1>All pages</h1>" + "".join(
        f"<h2>{escape(FOLDERS.get(folder, folder))}</h2><ul>"
        + "".join(f'<li><a href="{p}">{escape(titles[p][0])}</a>: {inline(titles[p][1])}</li>' for p in inside)
        + "</ul>"
        for folder, inside in groups.items()
    )
    (DOCS / "contents.html").write_text(wrapped("contents.html", "All pages", body, groups, titles), encoding="utf-8")
    print(f"{len(pages) + 1} pages in {DOCS.relative_to(ROOT)}; start at {DOCS.relative_to(ROOT)}/index.html")


def inline(text):
    """The little markdown of a claim: code and emphasis."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
    return re.sub(r"\*\*?([^*]+)\*\*?", r"<em>\1</em>", text)


class Links(HTMLParser):
    """Links, anchors and the text of the first heading of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors, self.title, self._in_title = [], set(), "", False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes[k] for k in ("id", "name") if attributes.get(k)}
        self.links += [attributes[k] for k in ("href", "src") if attributes.get(k)]
        self._in_title = tag == "h1" and not self.title

    def handle_endtag(self, tag):
        if tag in ("h1", "a"):
            self._in_title = False

    def handle_data(self, data):
        if self._in_title:
            self.title += data


def check():
    """Every notebook has a page, every link inside the site leads somewhere, no page shows an error. Prints what is wrong."""
    pages, wrong, links = sources(), [], 0
    parsed = {str(p.relative_to(DOCS)): Links(p.read_text(encoding="utf-8")) for p in DOCS.rglob("*.html")}
    for page, notebook in pages.items():
        if page not in parsed:
            wrong.append(f"{page}: missing (of {notebook.relative_to(ROOT)})")
            continue
        title = re.sub(r"[`*]", "", heading(notebook)[0])
        if "".join(parsed[page].title.split()) != "".join(title.split()):
            wrong.append(f"{page}: its first heading is {parsed[page].title!r}, the notebook's {title!r}")
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            if any(output.get("output_type") == "error" for output in cell.get("outputs", [])):
                wrong.append(f"{page}: shows an error, after {''.join(cell['source'])[:60]!r}")
        body = (DOCS / page).read_text(encoding="utf-8")
        if "application/vnd.jupyter.stderr" in body and "Traceback (most recent call last)" in body:
            wrong.append(f"{page}: shows a traceback")
        if has_math(body.partition("<main>")[2]) and MATHJAX not in body:
            wrong.append(f"{page}: has formulas but does not load MathJax")
    for page, found in parsed.items():
        for link in found.links:
            target, anchor = urldefrag(link)
            if re.match(r"[a-z]+:|//", link):
                continue
            links += 1
            there = os.path.normpath(os.path.join(os.path.dirname(page), unquote(target))) if target else page
            if not (DOCS / there).is_file():
                wrong.append(f"{page}: link to {link}, which is not there")
            elif anchor and there.endswith(".html") and unquote(anchor) not in parsed[there].anchors:
                wrong.append(f"{page}: link to {link}: no such place on that page")
    print("\n".join(wrong[:40] + ([f"... and {len(wrong) - 40} more"] if len(wrong) > 40 else [])))
    print(f"{len(parsed)} pages, {links} links inside the site: {len(wrong)} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    {"build": build, "check": check}[sys.argv[1]]()
