"""What the records say: the answer on the first page, the box on each method's page, and the chooser's tables.

All numbers come from `icckd.reporting`, so they are the reports' own.
"""

import os
import re
from functools import lru_cache
from html import escape
from urllib.parse import quote

import pandas as pd
import results_pages

from icckd.losses.criterion import Sum
from icckd.losses.methods import METHODS, Context, find_method
from icckd.reporting.blocks import (
    MARKS,
    block_answer,
    block_setting,
    block_tables,
    block_view,
    few_seeds,
    weak_teacher,
)
from icckd.reporting.published import dataset_title, pair_title
from icckd.reporting.reports import LONGEST_FIRST, OWN_METHODS
from icckd.reporting.tables import (
    Results,
    block_name,
    format_difference,
    method_title,
    plural,
    run_as,
)
from icckd.runs.profiles import find_profile

REPORTS = (  # beginning of our method name -> the document's report, if it proposes the method
    ("mlld", "mlld_supplement"),
    ("cwd", "cwd_supplement"),
    ("", "ickd"),  # whose tables hold every method
)


@lru_cache(maxsize=None)
def blocks():
    "(results of the profile, block, its table) of every block that a student is recorded for."
    place = lambda name: LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)
    found = []
    for profile in sorted(filter(is_profile, results_pages.folders()), key=place):
        results = Results(profile, results_pages.RESULTS)
        for block, _, frame in block_tables(results):
            if (frame["state"] != "not run")[frame["method"] != "teacher"].any():
                found.append((results, block, frame))
    return found


def is_profile(name):
    "Whether a folder of results is a built-in profile's; of others nobody knows what they wanted."
    try:
        return bool(find_profile(name))
    except ValueError:
        return False


@lru_cache(maxsize=None)
def page_of(name, task):
    "The page that explains a method's own term; empty for the teacher and for names that no table has any more."
    try:
        method = find_method(name, task)
    except ValueError:
        return ""
    criterion = method.build(Context(task))
    parts = criterion.parts if isinstance(criterion, Sum) else {}
    own = parts["ce" if name == "none" else method.own_term] if parts else criterion
    return type(own).__module__.partition(".")[2].replace(".", "/")


def are_of(page, names, task):
    "Which of a column of names a page explains."
    return pd.Series([page_of(str(name), task) == page for name in names], index=names.index, dtype=bool)


def methods_of_pages():
    "Page -> (task, names of the methods whose own term is explained there), from the table of methods."
    found = {}
    for task, table in METHODS.items():
        for name in table:
            found.setdefault(page_of(name, task), (task, []))[1].append(name)
    return found


# The first page


def answers():
    "A list of what the blocks say, in the reports' own words."
    said = [block_answer(*block, own=OWN_METHODS[block[1].task]).text for block in blocks()]
    if not said:
        return (
            "Nothing is recorded here yet: `make reproduce` trains the students and `make docs` writes what they say."
        )
    return "\n".join([*(f"* {text}" for text in said), "", GO_ON])


GO_ON = """Differences are taken seed by seed, with 95 % intervals over seeds.
All of it is computed from the records when this site is built.
Go on with [which method for what you have](/guide/choose_a_method.md),
[every record, claim and published value](/results/index.md),
or [your own network](/tutorials/distil_your_own_model.ipynb)."""


# The box on a method's page


def box(page, pages):
    "What a page's methods gained, as HTML: a table a block that ran one, the verdicts, and where to look further."
    task, names = methods_of_pages()[page]
    parts = [part for block in blocks() if block[1].task == task and (part := _of_block(page, *block, pages))]
    head = '<div class="gained" id="what-it-gained-here">\n<p class="gained-title">What it gained here</p>\n'
    lines = [_trials(page, task), _published_claims(page, task)]
    if parts:
        lines = [f"<p>{line}</p>\n" for line in lines if line] + [f'<p class="gained-legend">{LEGEND}</p>\n']
        return "".join([head, *parts, *lines, "</div>"])
    own = next((name for name in names if name != "none"), "none")
    methods = "none" if own == "none" else f'"none {own}"'
    nothing = f"No student of it is recorded: <code>make reproduce METHODS={methods}</code> would train some."
    return f"{head}<p>{' '.join([nothing, *filter(None, lines)])}</p>\n</div>"


LEGEND = (
    "Score ± standard deviation (seeds). Differences are in points, seed by seed, with 95 % interval: ▲ better, "
    "▼ worse, ○ not decided. Bold cannot be told from the best. Time and memory are beside the plain student's."
)


def _of_block(page, results, block, frame, pages):
    "A block's setting, its lines about the page's methods, and what of the claims is decided there; or nothing."
    task, to = block.task, lambda target: os.path.relpath(target, os.path.dirname(page))
    run = frame[frame["n"] > 0].reset_index(drop=True)
    ours = are_of(page, run["method"], task)
    lost = frame[frame["state"].str.startswith("failed") & are_of(page, frame["method"], task)]
    if not ours.any() and not len(lost):
        return ""
    weak, few = weak_teacher(results, block), few_seeds(frame)
    shown = block_view(results, block, frame).frame
    shown = shown[[name for name in shown if not name.startswith("P(")]]
    shown = shown.rename(columns=lambda name: name.replace(", points", "").replace(" [95 % over seeds]", ""))
    if len(run) and not weak:
        shown.insert(2, "rank", ranks(run))
    shown = shown[ours.to_numpy()]
    shown = shown[[name for name in shown if shown[name].astype(bool).any()]]
    bold = set(run["method"][run["best_group"]])
    lines = [row(shown.columns, line, run["method"][i] in bold) for i, line in shown.iterrows()]
    setting = re.sub(r"\*\*(.*?)\*\*", r"<b>\1</b>", escape(block_setting(results, block)))
    head = "".join(f"<th>{escape(name)}</th>" for name in shown)
    query = {"task": task, "data set": block.dataset, "student": block.student, "profile": results.profile.name}
    query |= {"method": "|".join(dict.fromkeys(bare(m) for m in [*run["method"][ours], *lost["method"]]))}
    links = [f'<a href="{to("results/records.html")}?{asked(query)}">its records</a>']
    report = f"papers/{results.profile.name}/{next(r for begin, r in REPORTS if query['method'].startswith(begin))}"
    links += [f'<a href="{to(report)}.html">the report</a>'] if report in pages else []
    failed = [f"{escape(line['title'])}: {escape(line['state'])}." for _, line in lost.iterrows()]
    stale = (run["state"][ours] == "stale").any()
    notes = [weak, few, *failed, "Recorded with other code than today's." if stale else ""]
    notes = "".join(f"<p>{note}</p>\n" for note in notes if note)
    notes += "" if weak else _verdicts(results, block, run["method"][ours])
    return (
        f"<p>{setting}: {' · '.join(links)}</p>\n"
        + (f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>{''.join(lines)}</tbody>\n</table>\n" if lines else "")
        + notes
    )


def ranks(run):
    "`2 of 7` for every method, the plain student and the teacher not counted."
    counted = ~run["method"].isin(("teacher", "none"))
    return [f"{place} of {counted.sum()}" if method else "" for place, method in zip(counted.cumsum(), counted)]


def row(names, line, bold):
    "A line of the box; on a phone each cell stands under its own heading."
    strong = lambda text, first: f"<b>{text}</b>" if bold and first else text
    cells = [
        f'<td data-label="{escape(name)}">{strong(escape(str(line[name])), i < 2)}</td>' for i, name in enumerate(names)
    ]
    return f"<tr>{''.join(cells)}</tr>\n"


def bare(name):
    "A method's name without options."
    return name.partition(":")[0]


def asked(query):
    "A query that filters a table of the explorer."
    return "&amp;".join(f"{quote(name)}={quote(value, safe='|')}" for name, value in query.items())


def _verdicts(results, block, methods):
    "Over whom each method was claimed to be better, and whether this holds here; and who was claimed to beat it."
    found, here = results_pages.claims(), {"profile": results.profile.name, "kind": "stand-in", "task": block.task}
    here |= {name: getattr(block, name) for name in ("dataset", "teacher", "student")}
    here |= {"recipe": block_name(results, block)}
    for name, value in here.items():
        found = found[found[name] == value]
    found, lines = found[found["sign"] != ""], []
    for column, other, words in (("method", "versus", "{} is better than"), ("versus", "method", "{} is beaten by")):
        for method in methods:
            about = found[found[column] == method]
            said = []
            for sign in SIGNS:
                names = [results_pages.title(name, block.task) for name in about[other][about["sign"] == sign]]
                said += [f"{', '.join(names)} ({MARKS[sign]}{sign})"] if names else []
            if said:
                title = words.format(method_title(method, block.task))
                lines.append(f"<li>{escape(title)} {escape('; '.join(said))}</li>\n")
    about = found[found["method"].isin(methods) | found["versus"].isin(methods)]
    head = f"<summary>{plural(len(about), 'claim')} of the papers, tried here: {counted(about)}</summary>"
    return f"<details>{head}\n<ul>\n{''.join(lines)}</ul>\n</details>\n" if lines else ""


SIGNS = ("holds", "not decided", "does not hold")


def counted(claims):
    "`▲ 3 hold, ○ 1 not decided`."
    words = {"holds": ("holds", "hold"), "does not hold": ("does not hold", "do not hold")}
    numbers = {sign: int((claims["sign"] == sign).sum()) for sign in SIGNS}
    word = lambda sign, n: words.get(sign, (sign, sign))[n != 1]
    return ", ".join(f"{MARKS[sign]}{n} {word(sign, n)}" for sign, n in numbers.items() if n)


def _published_claims(page, task):
    "How many claims about published settings name a method of the page, and what is decided of them."
    found = results_pages.claims()
    found = found[(found["kind"] == "published setting") & (found["task"] == task)]
    found = found[are_of(page, found["method"], task) | are_of(page, found["versus"], task)]
    found = found.sort_values("seeds", ascending=False)
    found = found.drop_duplicates(["claim", "teacher", "student", "metric"])
    if not len(found):
        return ""
    tried = found[found["sign"] != ""]
    link = os.path.relpath("results/claims.html", os.path.dirname(page))
    said = f"{len(tried)} tried ({counted(tried)})" if len(tried) else "none tried yet"
    query = asked({"task": task, "kind": "published setting"})
    return f'<a href="{link}?{query}">Claims about published settings</a>: {len(found)} name it, {said}.'


def _trials(page, task):
    "Where the weights were chosen, if they were."
    found = results_pages.weights()
    found = found[(found["task"] == task) & (found["method"] != "none")]
    found = found[are_of(page, found["method"], task)]
    if not len(found):
        return ""
    link = os.path.relpath("results/weights.html", os.path.dirname(page))
    query = asked({"task": task, "method": "|".join(dict.fromkeys(found["method"]))})
    profiles = ", ".join(f"<code>{name}</code>" for name in dict.fromkeys(found["profile"]))
    return f'Its weights in {profiles} were chosen by <a href="{link}?{query}">trials on held-out samples</a>.'


# The chooser


def logits_only(name, task):
    "Whether a method reads no layer of either network."
    criterion = find_method(name, task).build(Context(task))
    return not criterion.student_layers and not criterion.teacher_layers


NEEDS = {
    "any": lambda name, task: True,
    "logits": logits_only,
    "features": lambda name, task: not logits_only(name, task),
}


def gained(line):
    "`▲ +1.03 [+0.65, +1.41]`: a line's gain over the plain student."
    mark = MARKS[line["plain_sign"]] if pd.notna(line["plain_low"]) else ""
    return mark + format_difference(line["plain_mean"], line["plain_low"], line["plain_high"])


def best(task, need, most_extra=float("inf")):
    "A Markdown table: the three best scores of each block that are ahead of the plain student and meet a need."
    lines = ["| setting | first | second | third |", "| --- | --- | --- | --- |"]
    for results, block, frame in blocks():
        if block.task != task:
            continue
        good = frame[(frame["n"] > 0) & (frame["plain_mean"] > 0) & ~(frame["extra_time"] > most_extra)]
        good = [line for _, line in good.iterrows() if NEEDS[need](line["method"], task)]
        cells = [f"{link(line['method'], task)} {gained(line)}" for line in good[:3]]
        weak, seeds = weak_teacher(results, block), plural(frame["n"][frame["method"] != "teacher"].max(), "seed")
        cells = ([weak] if weak else cells or ["none gained"]) + ["-"] * 3
        where = f"{pair_title(block.dataset, block.teacher, block.student)} (`{results.profile.name}`, {seeds})"
        lines.append(f"| {where} | {' | '.join(cells[:3])} |")
    return "\n".join(lines) if len(lines) > 2 else "No record meets this yet."


def here(*names):
    "What methods (`task=name`) gained in each block that ran them, for a cell of a table."
    said = []
    for results, block, frame in blocks():
        for name in names:
            task, _, method = name.partition("=")
            run = run_as(method, list(frame["method"][frame["n"] > 0]))
            lines = frame[(frame["method"] == run) & (frame["n"] > 0) & frame["plain_mean"].notna()]
            if task == block.task and len(lines) and not weak_teacher(results, block):
                where = dataset_title(block.dataset).partition(" (")[0]
                said.append(f"{method_title(run, task)} {gained(lines.iloc[0]).partition(' [')[0]} ({where})")
    return "; ".join(said) or "not recorded"


def link(name, task):
    "A method's title, linked to its page."
    page = page_of(name, task)
    return f"[{method_title(name, task)}](/{page}.ipynb)" if page else name


def filled(text):
    """A page with its marks replaced: `<!-- answers -->`, `<!-- here: task=method ... -->`,
    `<!-- best: task need [most extra time, %] -->`."""

    def table(found):
        task, need, *most = found.group(1).split()
        return best(task, need, *map(float, most))

    text = re.sub(r"<!-- best: (.*?) -->", table, text)
    text = re.sub(r"<!-- here: (.*?) -->", lambda found: here(*found.group(1).split()), text)
    return text.replace("<!-- answers -->", answers())
