"""One line on each method's page: where its results, claims, golden check and API are, and how to use it."""

import json
import os
import re

import results_pages

from icckd.losses.criterion import Sum
from icckd.losses.methods import METHODS, Context


def methods_of_pages():
    "Page -> (task, names of the methods whose own term is explained there), from the table of methods."
    found = {}
    for task, table in METHODS.items():
        for name, method in table.items():
            criterion = method.build(Context(task))
            parts = criterion.parts if isinstance(criterion, Sum) else {}
            own = parts["ce" if name == "none" else method.own_term] if parts else criterion
            page = type(own).__module__.partition(".")[2].replace(".", "/")
            found.setdefault(page, (task, []))[1].append(name)
    return found


def golden_check(path):
    "Where a notebook replays its golden cases: its own heading or the page that replays all; empty without cases."
    heading, elsewhere = "", ""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            heading = next((line for line in reversed(text.splitlines()) if re.match(r"#{2,} ", line)), heading)
        elif re.search(r"(compare_with|check)_golden\(", text):
            return "#" + re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-")
        elif re.search(r"^GOLDEN = ", text, flags=re.M):
            elsewhere = "/golden/golden.ipynb"
    return elsewhere


def lines(pages):
    "Page -> its line of links. `pages`: page -> notebook."
    records, claims, texts = results_pages.records(), results_pages.claims(), {}
    for page, (task, names) in methods_of_pages().items():
        if page not in pages:
            continue
        to = lambda target: os.path.relpath(target, os.path.dirname(page))
        own = list(dict.fromkeys(re.split(r"[.+:]", name)[0] for name in names))
        query = f"?task={task}&method={'|'.join(own)}"
        ours = lambda column: [re.split(r"[.+:]", str(name))[0] in own for name in column]
        counted = lambda frame, columns: int(
            sum(any(row) for row in zip(*(ours(frame[c]) for c in columns))) if len(frame) else 0
        )
        here = records[records["task"] == task]
        about = claims[claims["task"] == task]
        parts = [f'<a href="{to("results/records.html")}{query}">{counted(here, ["method"])} records</a>']
        number = counted(about, ["method", "versus"])
        parts.append(f'<a href="{to("results/claims.html")}{query}">{number} claims and their verdicts</a>')
        parts.append(f'<a href="{to("results/published.html")}{query}">published values</a>')
        golden = golden_check(pages[page])
        if golden:
            parts.append(f"[golden check]({golden})")
        parts.append(f"[API](/api/{page.replace('/', '.')})")
        parts.append("[use it on your own network](/tutorials/distil_your_own_model.ipynb)")
        named = ", ".join(f"`{name}`" for name in names)
        texts[page] = f"In this project: {' · '.join(parts)}.\nIts names in `METHODS`: {named}."
    return texts


def inserted(cells, line):
    "The cells with the line below the claim, or below the title where there is no claim."
    first = cells[0]["source"]
    found = re.search(r"^>.*(?:\n>.*)*\n?", first, flags=re.M) or re.search(r"^# .*\n?", first, flags=re.M)
    head, tail = first[: found.end()], first[found.end() :]
    return [cells[0] | {"source": f"{head.rstrip()}\n\n{{.in-this-project}}\n{line}\n\n{tail.lstrip()}"}, *cells[1:]]
