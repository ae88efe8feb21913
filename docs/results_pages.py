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

from icckd.data.create import DATASETS
from icckd.evaluation.meters import PRIMARY
from icckd.losses.methods import Context
from icckd.reporting.published import published, published_tables
from icckd.reporting.tables import method_title
from icckd.runs.records import read_records
from icckd.runs.sweep import choose_weights, trial_names

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / os.environ.get("RESULTS", "results")  # `RESULTS=results/local make docs` shows what this machine made


def folders():
    "Profile -> its folder of results, `quick` first."
    found = {path.parent for name in ("records", "tables", "reports") for path in RESULTS.glob(f"*/{name}")}
    return {path.name: path for path in sorted(found, key=lambda path: (path.name != "quick", path.name))}


def task_of(record):
    return (record.get("context") or {}).get("task") or (
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


COLUMNS = ["page", "method", "options", "data set", "seed", "score, %", "metric", "teacher", "student", "training, s"]
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
    "One row a claim, from the tables that the reports wrote. What several reports ask of a setting is one row."
    frames = []
    for profile, folder in folders().items():
        for path in sorted((folder / "tables").glob("*.csv")):
            report, _, what = path.stem.rpartition("_")
            if what in ("claims", "comparisons", "orders") and path.stat().st_size > 1:  # an empty table is a line end
                kind = (
                    "stand-in" if what != "claims" else "figure" if report.endswith("_figure") else "published setting"
                )
                frame = pd.read_csv(path).rename(columns=AS_OTHERS)
                frames.append(frame.assign(profile=profile, report=report.removesuffix("_figure"), kind=kind))
    frame = (
        pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
        if any(map(len, frames))
        else pd.DataFrame()
    )
    frame = frame.reindex(columns=list(dict.fromkeys([*CLAIM_COLUMNS, *frame])))
    frame["task"] = [DATASETS.get(str(name), "") for name in frame["dataset"]]
    frame["sign"] = frame["sign"].where(frame["low"].notna(), "")  # without an interval nothing is decided
    for name in ("claim", "teacher", "student", "recipe", "note", "records"):
        frame[name] = frame[name].astype(object).where(frame[name].notna(), "")
    same = ["profile", "kind", "recipe", "dataset", "teacher", "student", "method", "versus", "metric", "claim"]
    reports = frame.groupby(same, dropna=False)["report"].transform(lambda names: ", ".join(dict.fromkeys(names)))
    return frame.assign(report=reports).drop_duplicates(same, ignore_index=True)


CLAIM_COLUMNS = ["task", "profile", "report", "kind", "recipe", "dataset", "teacher", "student", "method", "versus"]
CLAIM_COLUMNS += ["metric", "claim", "claimed", "printed", "difference_mean", "low", "high", "seeds", "sign", "note"]
CLAIM_COLUMNS += ["records"]
AS_OTHERS = {"less_by": "difference_mean", "reference": "versus"}  # of the claims about figures


@lru_cache(maxsize=None)
def trials():
    "Page -> (profile, file, record) of every trial on held-out samples."
    found = {}
    for path in sorted(RESULTS.glob("*/sweep/records")):
        profile = f"{path.parts[-3]}/sweep"
        for name, record in read_records(path).items():
            page = f"records/{path.parts[-3]}-sweep/{name.removesuffix('.json')}"
            found[page] = (profile, path / name, record)
    return found


@lru_cache(maxsize=None)
def weights():
    "One row a method and pair: the score of each weight that was tried, and the name with the chosen one."
    by_profile = {}
    for profile, _, record in trials().values():
        by_profile.setdefault(profile.partition("/")[0], []).append(record)
    frames = [choose_weights(records).assign(profile=profile) for profile, records in by_profile.items()]
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=WEIGHT_COLUMNS)
    return frame.assign(task=[DATASETS.get(name, "") for name in frame["dataset"]])


WEIGHT_COLUMNS = ["dataset", "teacher", "student", "method", "chosen", "profile"]


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
    both, (trials_shown, factors) = records(), weights_table()
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
        "results/weights.md": table_page(
            "Weights", WEIGHTS_TEXT, "weights", trials_shown, html=factors, numbers=factors
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
*kind* says where it was tried.
A claim about a *published setting* is decided by records of that setting alone.
A *stand-in* asks the same of a setting that was run here; *claimed* is then the difference that the papers print.
A *figure* is what a paper's figure shows, measured on the networks of a stand-in.
*difference* is in points, positive where the first method is better; *low* and *high* end its 95 % interval.
Below three seeds there is no interval and no verdict."""
WEIGHTS_TEXT = """Each method got the same trials: its published weight, and this times a few factors.
A trial trains on four fifths of the training samples, with a seed of its own, and is scored on the rest.
The test split decides nothing.
A score opens its record; *chosen* is the name that the profile `quick` runs the method by."""
INDEX_TEXT = """# Results explorer

* [Records](/results/records): every student and teacher that was trained, with its score, gain and cost.
* [Claims](/results/claims): what the papers say about who beats whom, and the verdicts.
* [Published values](/results/published): every printed value, its source, and whether of the last or the best epoch.
* [Weights](/results/weights): the trials that chose each method's weight.

The tables sort and filter in the browser and need no network.
The same as files: `results/<profile>/records/*.json`, `icckd/reporting/published/*.csv`,
`results/<profile>/tables/*.csv` and `results/<profile>/sweep/`.

```{toctree}
:hidden:

/results/records
/results/claims
/results/published
/results/weights
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
    frame = claims().sort_values("sign", key=lambda sign: sign == "", kind="stable")  # what was tried comes first
    titles = [
        f"{title(m, task)} beats {title(v, task)}"
        for m, v, task in zip(frame["method"], frame["versus"], frame["task"])
    ]
    opened = lambda profile, files: " ".join(
        linked(f"records/{profile}/{file.removesuffix('.json')}", str(i)) for i, file in enumerate(files.split(), 1)
    )
    return pd.DataFrame(
        {
            "claim": frame["claim"].where(frame["claim"] != "", titles),
            "verdict": frame["sign"],
            "difference": rounded(frame["difference_mean"], 2),
            "low": rounded(frame["low"], 2),
            "high": rounded(frame["high"], 2),
            "seeds": rounded(frame["seeds"], 0),
            "claimed": rounded(frame["claimed"].astype(float).fillna(frame["printed"].astype(float)), 2),
            "kind": frame["kind"],
            "data set": frame["dataset"],
            "teacher": frame["teacher"],
            "student": frame["student"],
            "method": frame["method"],
            "versus": frame["versus"].astype(str),
            "profile": frame["profile"],
            "report": frame["report"],
            "task": frame["task"],
            "note": frame["note"],
            "records": list(map(opened, frame["profile"], frame["records"])),
        }
    )


def weights_table():
    "The trials for reading; each score opens its record."
    found = {}
    for page, (profile, _, record) in trials().items():
        who = tuple(record[name] for name in ("dataset", "teacher", "student"))
        found[(profile.partition("/")[0], *who, record["method"])] = page
    frame, who = weights(), ["profile", "dataset", "teacher", "student"]
    factors = sorted((name for name in frame if name.startswith("x")), key=lambda name: float(name[1:]))
    lines = []
    for _, row in frame.iterrows():
        names = {f"x{factor:g}": name for name, factor in trial_names(row["method"], context_of(row)).items()}
        pages = {name: found.get((*row[who], trial)) for name, trial in names.items()}
        score = lambda name: linked(pages[name], f"{row[name]:.2f}") if row[name] == row[name] else ""
        line = {"method": row["method"], "chosen": row["chosen"]} | {name: score(name) for name in factors}
        lines.append(
            line
            | {"data set": row["dataset"]}
            | {name: row[name] for name in ("teacher", "student", "task", "profile")}
        )
    names = ["method", "chosen", *factors, "data set", "teacher", "student", "task", "profile"]
    return pd.DataFrame(lines, columns=names), factors


def context_of(row):
    "What a method's published weight may depend on."
    return Context(row["task"], row["dataset"], row["teacher"], row["student"])


def title(method, task):
    "A method's title; a number or an unknown name stays."
    try:
        return method_title(str(method), task)
    except ValueError:
        return str(method)
