"""The head of each method's page: links to code, golden cases, results, claims and use, and what it gained here."""

import json
import os
import re
from importlib import import_module
from pathlib import Path

import answers
import results_pages

ROOT = Path(__file__).resolve().parent.parent


def anchors(path):
    "Anchor -> heading of a notebook's sections."
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return {anchor(heading): heading for heading in re.findall(r"^#{2,} (.*)$", text, flags=re.M)}


def anchor(heading):
    "The anchor that MyST gives a heading."
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def golden_check(path):
    "Where a notebook replays its golden cases: its own heading or the page that replays all; empty without cases."
    heading, elsewhere = "", ""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            heading = next((line for line in reversed(text.splitlines()) if re.match(r"#{2,} ", line)), heading)
        elif re.search(r"(compare_with|check)_golden\(", text):
            return "#" + anchor(heading.lstrip("# "))
        elif re.search(r"^GOLDEN = ", text, flags=re.M):
            elsewhere = "/golden/golden.ipynb"
    return elsewhere


def golden_cases(page):
    "How many cases of the authors' code there are for a page's losses."
    names = getattr(import_module(f"icckd.{page.replace('/', '.')}"), "GOLDEN", ())
    return sum(len(list((ROOT / "tests" / "golden").glob(f"*/{name}__*.npz"))) for name in names)


def counted(frame, column, task, page):
    "How many rows of a table of the explorer are about a page's methods."
    return int((answers.are_of(page, frame[column], task) & (frame["task"] == task)).sum())


def table(page, path, task, names):
    "The links of a page, a line a question."
    to = lambda target: os.path.relpath(target, os.path.dirname(page))
    own = list(dict.fromkeys(re.split(r"[.+:]", name)[0] for name in names))
    query = f"?task={task}&amp;method={'|'.join(own)}"
    rows = lambda name, words, asked=query: f'<a href="{to(f"results/{name}.html")}{asked}">{words}</a>'
    records, claims = results_pages.records(), results_pages.claims()
    code = next((name for name in ("the-loss", "the-code", "the-maths") if name in anchors(path)), "")
    golden, cases = golden_check(path), golden_cases(page)
    example = next((name for name in names if name != "none"), "none")
    lines = {
        "Code": [f"[the loss](#{code})"] * bool(code)
        + [f"[API](/api/{page.replace('/', '.')})", f'<a href="{to(f"_modules/icckd/{page}.html")}">source</a>'],
        "Golden cases": [f"[{cases} of the authors' code, recomputed]({golden})" if golden else "none of its own"],
        "Results": [
            '<a href="#what-it-gained-here">what it gained here</a>',
            rows("records", f"{counted(records, 'method', task, page)} records"),
            rows("published", "published values"),
        ],
        "Claims": [
            rows("claims", f"{counted(claims, 'method', task, page)} that it beats others"),
            rows(
                "claims",
                f"{counted(claims, 'versus', task, page)} that another beats it",
                query.replace("method=", "versus="),
            ),
        ],
        "Use it": [f'`method="{example}"` [on your own network](/tutorials/distil_your_own_model.ipynb)']
        + ["[when](#when-to-use-it)"] * ("when-to-use-it" in anchors(path))
        + [f"names: {', '.join(f'`{name}`' for name in names)}"],
    }
    body = "\n".join(f"* - {name}\n  - {' · '.join(parts)}" for name, parts in lines.items())
    return f":::{{list-table}}\n:class: in-this-project\n:stub-columns: 1\n\n{body}\n:::"


def heads(pages):
    "Page -> what stands at its head. `pages`: page -> notebook."
    found = {page: about for page, about in answers.methods_of_pages().items() if page in pages}
    return {
        page: f"{table(page, pages[page], task, names)}\n\n```{{raw}} html\n{answers.box(page, pages)}\n```"
        for page, (task, names) in found.items()
    }


def inserted(cells, head):
    "The cells with the head below the claim, or below the title where there is no claim."
    first = cells[0]["source"]
    found = re.search(r"^>.*(?:\n>.*)*\n?", first, flags=re.M) or re.search(r"^# .*\n?", first, flags=re.M)
    before, after = first[: found.end()], first[found.end() :]
    return [cells[0] | {"source": f"{before.rstrip()}\n\n{head}\n\n{after.lstrip()}"}, *cells[1:]]
