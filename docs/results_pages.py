"""The results explorer: tables of all records, published values and claims, and one page a record."""

import os
import re
from functools import lru_cache
from html import escape
from pathlib import Path
from urllib.parse import quote

import itables
import itables.javascript
import pandas as pd

from icckd.evaluation.meters import PRIMARY
from icckd.losses.methods import Context, find_method
from icckd.reporting.published import pair_title, published, published_tables
from icckd.runs.records import read_records

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / os.environ.get("RESULTS", "results")  # `RESULTS=results/local make docs` shows what this machine made


def folders():
    "Profile -> its folder of results, `quick` first."
    found = {path.parent for name in ("records", "tables", "reports") for path in RESULTS.glob(f"*/{name}")}
    return {path.name: path for path in sorted(found, key=lambda path: (path.name != "quick", path.name))}


def task_of(record):
    return record.get("context", {}).get("task") or (
        "segmentation" if "miou" in (record["last"] or {}) else "classification"
    )


@lru_cache(maxsize=None)
def raw_records():
    "Page -> (profile, file, record) of every committed record."
    found = {}
    for profile, folder in folders().items():
        for name, record in read_records(folder / "records").items():
            found[f"records/{profile}/{name.removesuffix('.json')}"] = (profile, folder / "records" / name, record)
    return found


COLUMNS = ["page", "method", "options", "data set", "teacher", "student", "seed", "score, %", "metric", "training, s"]
COLUMNS += ["memory, MiB", "profile", "recipe", "epochs", "start", "task", "status"]


@lru_cache(maxsize=None)
def records():
    "One row a record: who, under which recipe, what came out, what it cost."
    rows = []
    for page, (profile, _, record) in raw_records().items():
        task, seconds = task_of(record), record["seconds"] or {}
        method, _, options = record["method"].partition(":")
        failed = record["status"] != "ok"
        rows.append(
            {
                "page": page,
                "profile": profile,
                "task": task,
                "data set": record["dataset"],
                "teacher": record["teacher"],
                "student": record["student"] or "",
                "method": method,
                "options": options.replace(",", ", "),
                "recipe": record["recipe"],
                "epochs": record.get("epochs"),
                "start": record["parameters"].get("initialisation", ""),
                "seed": record["seed"],
                "metric": PRIMARY[task],
                "score, %": None if failed else (record["last"] or {}).get(PRIMARY[task]),
                "training, s": seconds.get("train"),
                "memory, MiB": record.get("peak_memory_mib"),
                "status": record["status"],
            }
        )
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame["score, %"] = pd.to_numeric(frame["score, %"])
    setting = ["profile", "data set", "teacher", "student", "recipe", "epochs", "start", "seed"]
    plain = frame[(frame["method"] == "none") & (frame["options"] == "")].set_index(setting)["score, %"]
    plain = plain[~plain.index.duplicated()]
    wanted = pd.MultiIndex.from_frame(frame[setting])
    gain = frame["score, %"] - plain.reindex(wanted).to_numpy(dtype=float)
    frame.insert(frame.columns.get_loc("score, %") + 1, "gain", gain.where(~frame["method"].isin(["none", "teacher"])))
    return frame


@lru_cache(maxsize=None)
def claims():
    "One row a claim, from the tables that the reports wrote."
    frames = []
    for profile, folder in folders().items():
        for path in sorted((folder / "tables").glob("*.csv")):
            report, _, kind = path.stem.rpartition("_")
            if kind in ("claims", "comparisons"):
                frame = pd.read_csv(path).rename(columns=AS_OTHERS)
                frames.append(frame.assign(profile=profile, report=report))
    if not frames:
        return pd.DataFrame(columns=CLAIM_COLUMNS)
    frame = pd.concat(frames, ignore_index=True)
    frame["task"] = [METRIC_TASK.get(str(metric).partition("_")[0], "segmentation") for metric in frame["metric"]]
    return frame


METRIC_TASK = {"top1": "classification", "top5": "classification"}
CLAIM_COLUMNS = ["task", "profile", "report", "dataset", "method", "versus", "seeds", "sign"]
AS_OTHERS = {"less_by": "difference_mean", "reference": "versus"}  # of the claims about figures


@lru_cache(maxsize=None)
def published_values():
    "One row a printed value."
    frame = pd.concat(
        [published(table).assign(file=table) for table in published_tables() if table != "network_counts"],
        ignore_index=True,
    ).fillna({"note": "", "init": "", "epoch_kind": ""})
    frame["task"] = [
        "classification" if d in ("cifar100", "imagenet") else "segmentation" for d in frame["our_dataset"]
    ]
    return frame


# Pages


def tables_script():
    "The script and style of itables as one file, which its tables find under its own name."
    html = itables.javascript.generate_init_offline_itables_html(
        Path(itables.__file__).parent / "html" / "dt_bundle.js"
    )
    return re.search(r"<script[^>]*>(.*?)</script>", html, flags=re.S).group(1)


def table_page(title, text, identity, frame, html=(), narrow=(), numbers=()):
    "A page of MyST with one table. `html`: columns that are HTML already; `narrow`: text that may wrap."
    shown = frame.copy()
    for column in shown.columns:
        if column not in html:
            shown[column] = shown[column].astype(object).fillna("").map(lambda value: escape(str(value)))
    numbers = [shown.columns.get_loc(c) for c in numbers]
    defs = [{"targets": [shown.columns.get_loc(c) for c in narrow], "className": "wrap"}] if narrow else []
    defs += [{"targets": numbers, "className": "dt-right"}] if numbers else []
    table = itables.to_html_datatable(
        shown,
        connected=False,
        table_id=f"{identity}-table",
        allow_html=True,
        showIndex=False,
        maxBytes=0,
        classes="display compact",
        style="width:100%",
        lengthMenu=[25, 100, -1],
        pageLength=25,
        columnDefs=defs,
        columnControl=[{"target": 0, "content": ["order"]}, {"target": 1, "content": ["search"]}],
        ordering={"indicators": False, "handler": False},
        order=[],
        layout={"topStart": "info", "topEnd": "search", "bottomStart": "pageLength", "bottomEnd": "paging"},
    )
    script = '<script src="../_static/tables.js"></script>'
    held = f'<div class="explorer"><p class="explorer-filter" hidden></p>{script}\n{table}\n</div>'
    return f"# {title}\n\n{text}\n\n```{{raw}} html\n{held}\n```\n"


def linked(page, text):
    "A link from a page in results/ to a page of the site."
    return f'<a href="../{quote(page)}.html">{escape(text)}</a>'


def rounded(column, places):
    "Numbers as text with equal places, empty where there is none."
    return [f"{value:.{places}f}" if value == value else "" for value in pd.to_numeric(column)]


def record_table():
    frame = records().drop(columns=["page"])
    frame.insert(0, "record", [linked(page, "open") for page in records()["page"]])
    for column, places in {"score, %": 2, "gain": 2, "training, s": 0, "memory, MiB": 0}.items():
        frame[column] = rounded(frame[column], places)
    return frame


def pages():
    "File name -> text of the explorer's pages."
    both = records()
    texts = {
        "results/records.md": table_page(
            "Records",
            RECORDS_TEXT.format(number=len(both), failed=int((both["status"] != "ok").sum())),
            "records",
            record_table(),
            html=("record",),
            numbers=("seed", "score, %", "gain", "training, s", "memory, MiB", "epochs"),
        ),
        "results/published.md": table_page(
            "Published values",
            PUBLISHED_TEXT,
            "published",
            published_table(),
            narrow=("source", "note", "printed in"),
            numbers=("value",),
        ),
        "results/claims.md": table_page(
            "Claims",
            CLAIMS_TEXT,
            "claims",
            claims_table(),
            html=("records",),
            narrow=("claim", "note"),
            numbers=("claimed", "difference", "low", "high", "seeds"),
        ),
        "results/index.md": INDEX_TEXT,
    }
    return texts


RECORDS_TEXT = """Every student and teacher that was trained: {number} records, {failed} of them failed.
A row's *open* leads to its record: parameters, curve, environment.
The score is that of the last epoch.
The gain is the distance in points to the undistilled student of the same seed and setting.
Type below a heading to filter, e.g. `kd` under *method*; press the arrows to sort."""
PUBLISHED_TEXT = """Every value that is compared with or quoted, as printed, each with its source.
*epoch* says whether the source reports the last epoch, the best one, or does not say.
*verified* says whether the value was seen in the named source."""
CLAIMS_TEXT = """Every sentence of the form "A beats B", with what was measured and the verdict.
Claims about a published setting are decided by records of that setting alone.
The same comparisons in other settings stand beside them, marked as stand-ins.
*difference* is in points, positive where the first method is better; *low* and *high* end its 95 % interval.
Below three seeds there is no interval, and the verdict only describes."""
INDEX_TEXT = """# Results explorer

* [Records](/results/records): every student and teacher that was trained, with its score, gain and cost.
* [Published values](/results/published): every printed value, its source, and whether of the last or the best epoch.
* [Claims](/results/claims): what the papers say about who beats whom, and the verdicts.

The tables sort and filter in the browser and need no network.
The same as files: `results/<profile>/records/*.json`, `icckd/reporting/published/*.csv`
and `results/<profile>/tables/*_claims.csv` and `*_comparisons.csv`.

```{toctree}
:hidden:

/results/records
/results/published
/results/claims
```
"""


def published_table():
    values = published_values()
    return pd.DataFrame(
        {
            "printed method": values["method"],
            "value": [f"{value:g}" if value == value else "" for value in values["value"]],
            "metric": values["metric"],
            "epoch": values["epoch_kind"],
            "data set": values["dataset"],
            "teacher": values["teacher"],
            "student": values["student"],
            "method": values["our_method"],
            "task": values["task"],
            "verified": values["verified"].map({True: "yes", False: "no"}),
            "printed in": values["paper"] + ", " + values["table"],
            "source": values["source"],
            "note": values["note"],
        }
    )


def claims_table():
    frame = claims().reset_index(drop=True)
    text = lambda name: frame[name].fillna("") if name in frame else pd.Series([""] * len(frame))
    number = lambda name: rounded(frame[name], 2) if name in frame else [""] * len(frame)
    titles = [
        f"{title(m, task)} beats {title(v, task)}"
        for m, v, task in zip(frame["method"], frame["versus"], frame["task"])
    ]
    of_paper = text("claim") != ""
    names = [str(names).split() if isinstance(names, str) else [] for names in text("records")]
    opened = lambda profile, files: " ".join(
        linked(f"records/{profile}/{file.removesuffix('.json')}", str(i)) for i, file in enumerate(files, 1)
    )
    return pd.DataFrame(
        {
            "claim": text("claim").where(of_paper, titles),
            "verdict": text("sign"),
            "difference": number("difference_mean"),
            "low": number("low"),
            "high": number("high"),
            "seeds": frame["seeds"],
            "claimed": number("claimed"),
            "kind": ["published setting" if paper else "stand-in" for paper in of_paper],
            "data set": frame["dataset"],
            "teacher": text("teacher"),
            "student": text("student"),
            "method": frame["method"],
            "versus": frame["versus"].astype(str),
            "profile": frame["profile"],
            "report": frame["report"],
            "task": frame["task"],
            "note": text("note"),
            "records": [opened(profile, files) for profile, files in zip(frame["profile"], names)],
        }
    )


def title(method, task):
    "A method's title; a number or an unknown name stays."
    try:
        return find_method(str(method), task).title
    except ValueError:
        return str(method)


# The method chooser's numbers


def settings():
    "Every setting with an undistilled student: (task, data set, teacher, student, profile) -> records."
    frame = records()
    trained = frame[(frame["method"] != "teacher") & frame["score, %"].notna()]
    keys = ["task", "profile", "data set", "teacher", "student", "recipe"]
    return {key: group for key, group in trained.groupby(keys, sort=False) if (group["method"] == "none").any()}


def ranked(group, task, wanted):
    "The methods of a setting that are wanted, best mean gain first: (name, mean, sd, n, extra time in %)."
    cost = group.groupby(["method", "options"])["training, s"].mean()
    plain = cost.get(("none", ""), float("nan"))
    rows = []
    for (name, options), of_method in group.dropna(subset=["gain"]).groupby(["method", "options"]):
        gains = of_method["gain"]
        if gains.mean() > 0 and wanted(name, task):
            extra = 100 * (cost[(name, options)] / plain - 1)
            full = f"{name}:{options.replace(', ', ',')}" if options else name
            rows.append((full, gains.mean(), gains.std(ddof=1), len(gains), extra))
    return sorted(rows, key=lambda row: -row[1])


def logits_only(name, task):
    "Whether a method reads no layer of either network."
    criterion = find_method(name, task).build(Context(task))
    return not criterion.student_layers and not criterion.teacher_layers


NEEDS = {
    "any": lambda name, task: True,
    "logits": logits_only,
    "features": lambda name, task: not logits_only(name, task),
}


def best(task, need, most_extra=float("inf")):
    "A Markdown table: the three methods with the largest gain in each setting, among those that meet a need."
    lines = ["| setting | seeds | first | second | third |", "| --- | --- | --- | --- | --- |"]
    for (its_task, profile, data, teacher, student, recipe), group in settings().items():
        if its_task != task:
            continue
        rows = [row for row in ranked(group, task, NEEDS[need]) if not row[4] > most_extra][:3]
        cells = [f"{link(name, task)} {mean:+.2f}{f' ± {sd:.2f}' if sd == sd else ''}" for name, mean, sd, n, _ in rows]
        cells += ["-"] * (3 - len(cells))
        cells[0] = cells[0] if rows else "none gained"
        seeds = (
            " to ".join(dict.fromkeys(str(n) for n in sorted({row[3] for row in rows})[:: max(1, len(rows) - 1)]))
            or "-"
        )
        lines.append(f"| {pair_title(data, teacher, student)} (`{profile}`) | {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else "No records meet this yet."


def link(name, task):
    "A method's title, linked to its page."
    import method_links

    for page, (its_task, names) in method_links.methods_of_pages().items():
        if its_task == task and name.partition(":")[0] in names:
            return f"[{title(name, task)}](/{page}.ipynb)"
    return title(name, task)


def filled(text):
    "A page with each `<!-- best: task need [most extra time, %] -->` replaced by its table."

    def table(found):
        task, need, *most = found.group(1).split()
        return best(task, need, *map(float, most))

    return re.sub(r"<!-- best: (.*?) -->", table, text)
