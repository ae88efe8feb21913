"""One page a record, without Markdown: what was run, what came out, every epoch, the environment."""

import json
from html import escape
from urllib.parse import quote

import answers
import results_pages

from icckd.evaluation.meters import PRIMARY

SHOWN_ELSEWHERE = ("history", "parameters", "recipe_values", "versions", "last", "best", "details", "error", "context")


def table(rows, caption=""):
    "A two-column table."
    body = "".join(f"<tr><th scope='row'>{escape(str(k))}</th><td>{cell(v)}</td></tr>" for k, v in rows.items())
    return (
        f"<h2>{escape(caption)}</h2><div class='table-wrapper'><table class='docutils record'>{body}</table></div>"
        if body
        else ""
    )


def cell(value):
    "A value as text: numbers shortened, lists and dicts as JSON."
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, dict)):
        return f"<code>{escape(json.dumps(value))}</code>" if value else ""
    return escape("" if value is None else str(value))


def curve(history, metric):
    "The metric by epoch as an inline picture that takes the page's colours."
    points = [(e["epoch"], e["metrics"][metric]) for e in history if metric in e.get("metrics", {})]
    if len(points) < 2:
        return ""
    (x0, x1), values = (points[0][0], points[-1][0]), [value for _, value in points]
    low, high = min(values), max(values)
    place = lambda x, y: (50 + 430 * (x - x0) / (x1 - x0), 170 - 150 * (y - low) / ((high - low) or 1))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    text = lambda x, y, words, end="end": f'<text x="{x}" y="{y}" text-anchor="{end}">{words}</text>'
    labels = (
        text(44, 174, f"{low:.1f}")
        + text(44, 24, f"{high:.1f}")
        + text(50, 192, f"epoch {x0}", "start")
        + text(480, 192, x1)
    )
    title = f"{metric} by epoch, from {values[0]:.2f} to {values[-1]:.2f}"
    return (
        f'<h2>Curve</h2><svg class="curve" viewBox="0 0 500 200" role="img" aria-label="{title}"><title>{title}</title>'
        f'<polyline points="{line}"/>{labels}</svg><p>{escape(metric)}, % by epoch.</p>'
    )


def epochs(history):
    "Every epoch as a row."
    rows = [{"epoch": e["epoch"], **e.get("terms", {}), **e.get("metrics", {})} for e in history]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if not columns:
        return ""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{cell(row.get(c))}</td>" for c in columns) + "</tr>" for row in rows)
    return (
        f"<h2>Epochs</h2><div class='table-wrapper'><table class='docutils record'><tr>{head}</tr>{body}</table></div>"
    )


def body(profile, path, record):
    "The page's inner HTML."
    metric = PRIMARY[results_pages.task_of(record)]
    who = f"{record['teacher']} → {record['student']}" if record["student"] else record["teacher"]
    name = f"{record['method']}, seed {record['seed']}"
    error = (
        f"<p class='failed'>Failed: {escape(str((record['error'] or {}).get('error', '')))}</p>"
        if record["error"]
        else ""
    )
    rest = {k: v for k, v in record.items() if k not in SHOWN_ELSEWHERE and not isinstance(v, dict)}
    back = f"../../results/records.html?method={quote(record['method'].partition(':')[0])}"
    page = answers.page_of(record["method"], results_pages.task_of(record))
    about = f" <a href='../../{page}.html'>The method</a>." if page else ""
    return "".join(
        [
            f"<h1>{escape(name)}</h1>",
            f"<p>{escape(record['dataset'])}, {escape(who)}, <code>{escape(record['recipe'])}</code>. ",
            f"<a href='{escape(back)}'>All records of this method</a>.{about}</p>{error}",
            table(
                {f"{k} (last epoch)": v for k, v in (record["last"] or {}).items()}
                | {f"{k} (best)": v for k, v in (record["best"] or {}).items()},
                "Scores",
            ),
            curve(record["history"], metric),
            epochs(record["history"]),
            table(record["parameters"], "Parameters"),
            table(record.get("recipe_values") or {}, "Recipe"),
            table({f"{k}, s": v for k, v in (record["seconds"] or {}).items()}, "Time"),
            table(record.get("versions") or {}, "Environment"),
            table(rest, "Everything else"),
            "<h2>As written</h2><details><summary>",
            f"<code>results/{escape(profile)}/records/{escape(path.name)}</code></summary>",
            f"<pre>{escape(json.dumps(record, indent=1))}</pre></details>",
        ]
    )


def collect(app):
    "Pages for Sphinx to write."
    for page, (profile, path, record) in (results_pages.raw_records() | results_pages.trials()).items():
        context = {
            "title": f"{record['method']}, seed {record['seed']}",
            "body": body(profile, path, record),
            "parents": [],
        }
        yield page, context, "page.html"


def setup(app):
    app.connect("html-collect-pages", collect)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
