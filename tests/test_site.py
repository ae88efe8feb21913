"""The site in _docs as a reader meets it: links, formulas, search, tables, phones, contrast, in a real browser.

`make test-site` builds it and runs this. Pages are opened from file://, as after a copy to a stick.
"""

import html
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, unquote, urldefrag

import pytest

from icckd.reporting import blocks, claims, tables
from icckd.runs.profiles import find_profile

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "_docs"
BUILT = DOCS / ".built"
FROM = [*(ROOT / "nbs").rglob("*.ipynb"), *(ROOT / "docs").rglob("*.*")]
IS_BUILT = BUILT.exists() and all(path.stat().st_mtime <= BUILT.stat().st_mtime for path in FROM)

PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.html")) if IS_BUILT else []
RECORDS = [page for page in PAGES if page.startswith("records/")]
SOURCES = [page for page in PAGES if page.startswith("_modules/")]
# Pages of one template are opened in part: the first ten of records and of source listings.
OPENED = [p for p in PAGES if p not in {*RECORDS[10:], *SOURCES[10:]}]


@pytest.fixture(autouse=True)
def up_to_date(request):
    """Only what is computed for a page can be tested without the site."""
    if not IS_BUILT and "written" not in request.fixturenames:
        pytest.skip("no up-to-date site in _docs; `make test-site` builds and tests it")


# What is computed from records


QUICK = find_profile("quick").blocks[0]
SCORES = {
    "none": (60.0, 61.0, 59.5),
    "kd": (62.0, 62.8, 61.6),
    "ickd_c:weight=0.75": (64.2, 64.9, 63.8),
    "pkt": (60.0, None, 59.4),
}
ICKD = "losses/classification/ickd"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The modules that write pages, which read made-up results; `record` writes those of SCORES."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs"))
        patch.chdir(ROOT)
        import answers
        import build
        import results_pages

        patch.setattr(results_pages, "RESULTS", folder)
        cached = [f for module in (answers, results_pages) for f in vars(module).values() if hasattr(f, "cache_clear")]
        forget = lambda: [f.cache_clear() for f in cached]

        def record(**changed):
            costs = {"none": (10.0, 40.0), "kd": (10.0, 40.0)}
            for method, scores in ({"teacher": (70.0,)} | SCORES | changed).items():
                seconds, memory = costs.get(method, (12.0, 50.0))
                spent = {"seconds": {"train": seconds, "prepare": 0.0, "teacher": 3.0}, "saved_mib": memory}
                for seed, score in enumerate(scores):
                    tables.write_example(folder, QUICK, method, seed, score, **spent)
            forget()
            return tables.Results("quick", folder, folder)

        forget()
        yield SimpleNamespace(answers=answers, build=build, pages=results_pages, folder=folder, record=record)
        forget()


def shown(text):
    """What a reader sees of HTML."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_the_box_is_one_sentence_without_records(written):
    found = shown(written.answers.box("losses/classification/ttm", {}))
    wanted = 'No student of it is recorded: make reproduce METHODS="none ttm" would train some.'
    assert found == f"What it gained here {wanted}"
    assert set(written.answers.methods_of_pages()) > {ICKD, "losses/segmentation/cwd"}


def test_the_box_says_what_the_tables_say(written):
    results = written.record()
    report = "papers/quick/ickd"
    found = written.answers.box(ICKD, {report: "a notebook"})
    frame = blocks.block_table(results, "example", QUICK).set_index("method")
    line = (
        blocks.block_view(results, QUICK, frame.reset_index())
        .frame.set_index("method")
        .loc["ICKD-C without the KD term (weight 0.75)"]
    )
    text = shown(found)
    for column in line.index[line.index.str.contains("over|%|extra") & ~line.index.str.startswith("P(")]:
        assert line[column] in text, column
    assert "64.30 ± 0.56 (3) 1 of 3 ▲ +4.13 [" in text and "+20 % +25 %" in text
    assert "20 epochs" not in text and "(16 epochs, 3 seeds, a stand-in for the published settings)" in text
    assert "pkt" not in text.lower() and "Claims" not in text
    assert f'href="../../{report}.html"' in found and "method=ickd_c" in found and "data%20set=digits100" in found
    assert "data-label" in found, "on a phone each cell has its own heading"
    lost = shown(written.answers.box("losses/classification/pkt", {}))
    assert "PKT: failed (1 of 3): loss is not finite." in lost and "59.70 ± 0.42 (2) 3 of 3" in lost
    plain = shown(written.answers.box("losses/classification/cross_entropy", {}))
    assert "60.17 ± 0.76 (3)" in plain and "rank" not in plain


def test_the_box_counts_verdicts(written):
    results = written.record()
    here = claims.comparisons_table(
        results, "ickd_comparisons", [QUICK], {"classification": ("ickd_c",)}, {"classification": ("kd", "none")}
    )
    for report in ("ickd", "cwd"):  # what two reports ask is one claim
        tables.save_csv(written.folder / "quick" / "tables" / f"{report}_comparisons.csv", here)
    written.record()
    assert written.pages.claims()["report"].tolist() == ["cwd, ickd"] * 2
    found = shown(written.answers.box(ICKD, {}))
    assert "2 claims of the papers, tried here: ▲ 2 hold" in found
    assert "ICKD-C without the KD term (weight 0.75) is better than KD, plain student (▲ holds)" in found
    assert "1 claim of the papers, tried here: ▲ 1 holds" in shown(written.answers.box("losses/classification/kd", {}))
    table = written.pages.claims_table()
    assert table["verdict"].tolist() == ["holds", "holds"] and set(table["kind"]) == {"stand-in"}


def test_a_block_whose_teacher_is_not_ahead_ranks_nothing(written):
    written.record(teacher=(50.0,))
    found = shown(written.answers.box(ICKD, {}))
    assert "is no better than the plain student" in found and " of 3 " not in found


def test_a_block_of_failed_students_says_so(written):
    lost = {method: (None, None, None) for method in SCORES}
    for path in (written.folder / "quick" / "records").glob("*"):
        path.unlink()
    written.record(**lost, teacher=(None,))
    found = shown(written.answers.box(ICKD, {}))
    assert "failed (3 of 3): loss is not finite." in found and "±" not in found.partition("Score ±")[0]


def test_answer_and_chooser_come_from_records(written):
    written.record()
    first = written.answers.answers().splitlines()[0]
    assert (
        first.startswith("* **digits100") and "Best is **ICKD-C without the KD term (weight 0.75)** with 64.30" in first
    )
    best = lambda *given: written.answers.best("classification", *given).splitlines()[2]
    assert "| [ICKD-C without the KD term (weight 0.75)](/losses/classification/ickd.ipynb) ▲ +4.13 [" in best("any")
    assert "| [KD](/losses/classification/kd.ipynb) ▲ +1.97 [" in best("logits") and "ICKD" not in best("logits")
    assert "ICKD" not in best("any", 10) and "[KD]" in best("any", 10)
    assert "(`quick`, 3 seeds)" in best("any") and best("features").endswith("| - | - |")
    page = written.answers.filled("| x | <!-- here: classification=kd segmentation=cwd --> |\n\n<!-- answers -->")
    assert page.splitlines()[0] == "| x | KD ▲ +1.97 (digits100) |" and first in page


def test_folders_of_unknown_profiles_stay_in_the_explorer(written):
    tables.write_example(written.folder, QUICK, "kd", 0, 62.0, profile="mine")
    written.record()
    assert {results.profile.name for results, _, _ in written.answers.blocks()} == {"quick"}
    assert set(written.pages.records()["profile"]) == {"quick", "mine"}


def test_hidden_cells_do_not_show_and_quiet_ones_show_their_output(written, tmp_path):
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": ["<table></table>"]}}
    linked = output | {"data": {"text/markdown": ["![curves](../figures/curves.png)"]}}
    code = lambda source, outputs, **given: {"cell_type": "code", "source": source, "outputs": outputs, **given}
    cells = [
        code("#| hide\nsecret = 1", [output]),
        code("#| hide\n#| slow\nsecret = 2", []),
        code("secret = 3", [output], metadata={"tags": ["injected-parameters"]}),
        code("#| echo: false\nsecret", [output]),
        code("", [output, linked], metadata={"tags": ["remove-input"]}),
        code("", []),
        code("#| export\nseen = 1", []),
    ]
    cells = [{"metadata": {}, "execution_count": None, "id": str(i), **cell} for i, cell in enumerate(cells)]
    path = tmp_path / "reports" / "report.ipynb"
    for folder in ("reports", "figures"):
        (tmp_path / folder).mkdir()
    (tmp_path / "figures" / "curves.png").write_bytes(b"a picture")
    about = {"nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps({"cells": cells, "metadata": {}, **about}))
    kept = written.build.processed(path, "papers/quick/report", {})
    assert [(cell["metadata"]["tags"], len(cell["outputs"])) for cell in kept] == [
        (["remove-input"], 1),
        (["remove-input"], 2),
        ([], 0),
    ]
    assert kept[1]["outputs"][1]["data"] == {"image/png": "YSBwaWN0dXJl"}
    assert kept[-1]["source"] == "seen = 1" and all(cell["source"] for cell in kept), "MyST-NB skips empty cells"


# The built site


class Page(HTMLParser):
    """Links, what is loaded, and anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes[k] for k in ("id", "name") if attributes.get(k)}
        if attributes.get("href"):
            (self.loaded if tag == "link" else self.links).append(attributes["href"])
        if attributes.get("src"):
            self.loaded.append(attributes["src"])


@pytest.fixture(scope="module")
def parsed():
    return {page: Page((DOCS / page).read_text(encoding="utf-8")) for page in PAGES}


def test_every_link_and_anchor_leads_somewhere(parsed):
    wrong = []
    for page, found in parsed.items():
        for link in [*found.links, *found.loaded]:
            if re.match(r"[a-z]+:|//", link):
                continue
            target, anchor = urldefrag(link)
            target = target.partition("?")[0]
            there = os.path.normpath(os.path.join(os.path.dirname(page), unquote(target))) if target else page
            if not (DOCS / there).is_file():
                wrong.append(f"{page}: {link} is not there")
            elif anchor and there.endswith(".html") and unquote(anchor) not in parsed[there].anchors:
                wrong.append(f"{page}: {link}: no such place on that page")
    assert not wrong, f"{len(wrong)} dead links, e.g.\n" + "\n".join(wrong[:20])


def test_nothing_is_loaded_from_outside(parsed):
    outside = [
        f"{p}: {link}" for p, found in parsed.items() for link in found.loaded if re.match(r"(https?:)?//", link)
    ]
    assert not outside, "\n".join(outside[:20])


def notebooks():
    """Page -> notebook, without the papers, whose pages are their executed reports."""
    for path in sorted((ROOT / "nbs").rglob("*.ipynb")):
        page = path.relative_to(ROOT / "nbs").with_suffix(".html").as_posix()
        if not any(part[0] in "._" for part in Path(page).parts) and not page.startswith("papers/"):
            yield page, path


def test_every_notebook_has_a_page_with_neighbours_and_source():
    for page, path in notebooks():
        assert page in PAGES, f"{page}: missing"
        text = (DOCS / page).read_text(encoding="utf-8")
        assert "Traceback (most recent call last)" not in text, page
        assert 'class="next-page"' in text or 'class="prev-page"' in text, page
        assert f"{path.relative_to(ROOT).as_posix()}</code>" in text.replace('<span class="pre">', "").replace(
            "</span>", ""
        )


REPORTS = [page for page in PAGES if re.fullmatch(r"papers/\w+/\w+\.html", page)]


@pytest.mark.parametrize("page", REPORTS)
def test_a_report_shows_its_tables_and_no_loading_code(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    _, profile, name = Path(page).with_suffix("").parts
    folder = Path(os.environ.get("RESULTS", "results"))
    report = json.loads((ROOT / folder / profile / "reports" / f"{name}.ipynb").read_text(encoding="utf-8"))
    outputs = [output.get("data", {}) for cell in report["cells"] for output in cell.get("outputs", [])]
    held = sum("".join(data.get("text/html", "")).count("<table") for data in outputs)
    assert held and text.count("<table") == held
    assert text.count('src="../../_images/') == sum("image/png" in data for data in outputs)
    assert "tables.Results(profile" not in shown(text) and "filterwarnings" not in shown(text)


def test_every_method_page_leads_on():
    pages = [page for page in PAGES if re.fullmatch(r"losses/(classification|segmentation)/(?!index)\w+\.html", page)]
    for page in pages:
        text = (DOCS / page).read_text(encoding="utf-8")
        assert text.count('id="what-it-gained-here"') == 1, page
        head = text[: text.index('id="what-it-gained-here"')]
        links = re.findall(r'href="([^"]+)"', head[head.index("in-this-project") :])
        for wanted in ("/api/", "_modules/", "records.html", "published.html", "claims.html", "distil_your_own_model"):
            assert any(wanted in link for link in links), f"{page}: no link to {wanted}"
        assert 'href="#' in head or "golden" in head, page
    assert len(pages) > 35


def test_the_index_leads_with_the_answer(parsed):
    text = (DOCS / "index.html").read_text(encoding="utf-8")
    lead = text[text.index("<blockquote") : text.index("<table")]
    assert "Best is" in lead or "Nothing is recorded here yet" in lead or "says nothing about the methods" in lead
    wanted = {"guide/choose_a_method.html", "results/index.html", "tutorials/distil_your_own_model.html"}
    assert wanted <= set(parsed["index.html"].links)


def test_directives_are_honoured():
    hidden = 0
    for page, path in notebooks():
        shown = re.sub(r"<[^>]+>", "", (DOCS / page).read_text(encoding="utf-8")).replace("&quot;", '"')
        assert not re.search(r"^#\| ?(export|hide|default_exp|echo)", shown, flags=re.M), page
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            lines = "".join(cell["source"]).splitlines()
            if lines and lines[0] == "#| hide" and len(lines) > 2:
                text = html.escape("\n".join(lines[1:]), quote=False)
                assert text not in html.escape(html.unescape(shown), quote=False), f"{page}: shows {lines[1]}"
                hidden += 1
    assert hidden > 20


def test_api_shows_shapes_units_and_errors():
    text = re.sub(r"<[^>]+>", "", (DOCS / "api/losses.classification.kd.html").read_text(encoding="utf-8"))
    assert "student_logits (torch.Tensor) – (batch, classes)" in text
    assert "scalar, nats times temperature squared" in text and "ValueError – for bad shapes or NaN" in text


@pytest.mark.skipif(not RECORDS, reason="no records are committed yet")
def test_a_record_page_shows_what_was_run():
    text = (DOCS / RECORDS[0]).read_text(encoding="utf-8")
    assert all(f"<h2>{title}</h2>" in text for title in ("Scores", "Epochs", "Parameters", "Environment", "As written"))


# What only a browser shows

CHROMIUM = (
    os.environ.get("CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
NOT_CHECKED = (
    "no Chromium is installed: console errors, formulas, search, tables, width on a phone and contrast were not checked"
)


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip(NOT_CHECKED)
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; " + NOT_CHECKED)
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def tab(browser):
    """A page that remembers what went wrong on it."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page.wrong = []
    page.on("console", lambda said: page.wrong.append(f"console: {said.text}") if said.type == "error" else None)
    page.on("pageerror", lambda error: page.wrong.append(f"error: {error}"))
    page.on("request", lambda asked: page.wrong.append(f"outside: {asked.url}") if is_outside(asked.url) else None)
    yield page
    page.close()


def is_outside(url):
    return not url.startswith(("file:", "data:", "blob:"))


def opened(tab, page, query=""):
    """Opens a page and waits for its formulas."""
    tab.wrong.clear()
    tab.goto((DOCS / page).as_uri() + query)
    tab.evaluate("window.MathJax?.startup?.promise")


FAINT = """() => {
  // Every visible piece of text whose contrast with its background is below 4.5 (3 for large text).
  const rgba = (text) => [...text.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const linear = (c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ground = new Map();
  const behind = (e) => {
    if (!e) return [255, 255, 255, 1];
    if (!ground.has(e)) {
      const own = rgba(getComputedStyle(e).backgroundColor);
      ground.set(e, own[3] === 1 ? own : over(own, behind(e.parentElement)));
    }
    return ground.get(e);
  };
  const found = new Map();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    const words = walk.currentNode.data.trim().slice(0, 40);
    if (!words || e.closest("script, style, svg, mjx-assistive-mml, .visually-hidden, [hidden], .disabled")) continue;
    const style = getComputedStyle(e);
    if (!e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || !e.getClientRects().length) continue;
    const below = behind(e), ink = over(rgba(style.color), below);
    const [a, b] = [light(ink), light(below)].sort((x, y) => y - x);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < (large ? 3 : 4.5))
      found.set(style.color + below, `${contrast.toFixed(2)} ${e.tagName}.${e.className}: ${words}`);
  }
  return [...found.values()];
}"""


@pytest.mark.parametrize("page", OPENED)
def test_page(tab, page):
    """No error, no outside request, formulas set, readable in both themes, and no wider than a phone."""
    tab.set_viewport_size({"width": 1280, "height": 900})
    opened(tab, page)
    assert not tab.wrong
    formulas, unset, failed = tab.evaluate(
        """[document.querySelectorAll(".math").length,
            document.querySelectorAll(".math:not(:has(mjx-container))").length,
            [...document.querySelectorAll("mjx-merror, [data-mml-node=merror]")].map((e) => e.textContent)]"""
    )
    assert not unset and not failed, f"{unset} of {formulas} formulas are not set; errors: {failed}"
    for theme in ("light", "dark"):
        tab.evaluate("(theme) => { document.body.dataset.theme = theme; }", theme)
        faint = tab.evaluate(FAINT)
        assert not faint, f"{theme}: {faint}"
    tab.set_viewport_size({"width": 390, "height": 844})
    width = tab.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, f"{width} pixels wide on a phone of 390"


@pytest.mark.parametrize(
    "words, page",
    [
        ("ickd", "losses/classification/ickd.html"),
        ("inter-channel correlation", "losses/classification/ickd.html"),
        ("diverse redundant channels", "losses/classification/ickd.html"),
        ("reviewkd", "losses/classification/reviewkd.html"),
        ("kd_loss", "api/losses.classification.kd.html"),
        ("stand-in", "guide/glossary.html"),
    ],
)
def test_search_finds(tab, words, page):
    opened(tab, "search.html", f"?q={quote(words)}")
    tab.wait_for_selector("#search-results ul.search li a", timeout=10_000)
    tab.wait_for_function("document.querySelector('#search-results .search-summary')?.textContent.includes('inished')")
    found = tab.eval_on_selector_all(
        "#search-results ul.search li a", "links => links.map((a) => a.getAttribute('href'))"
    )
    assert any(link.startswith(page) for link in found), found[:10]
    assert not tab.wrong


def rows(tab):
    """The texts of the shown rows."""
    return tab.eval_on_selector_all(
        ".explorer .dataTable tbody tr", "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )


def column(tab, name):
    """The index of a column of a table."""
    titles = tab.eval_on_selector_all(
        ".explorer .dataTable thead tr:first-child th .dt-column-title", "th => th.map((e) => e.textContent)"
    )
    return titles.index(name)


@pytest.mark.parametrize(
    "table, name", [("records", "method"), ("published", "value"), ("claims", "claim"), ("weights", "method")]
)
def test_table_sorts_and_filters(tab, table, name):
    tab.set_viewport_size({"width": 1280, "height": 900})
    opened(tab, f"results/{table}.html")
    tab.wait_for_selector(".explorer .dt-column-title")
    if len(rows(tab)) < 2:
        pytest.skip(f"no rows in {table} yet")
    at = column(tab, name)
    heads = tab.locator(".explorer .dataTable thead tr:first-child th").nth(at)
    heads.locator("button").first.click()
    tab.wait_for_selector(".explorer th[aria-sort=ascending]")
    shown = [row[at] for row in rows(tab)]
    as_number = lambda text: float(text) if name == "value" else re.sub(r"[^a-z0-9]", "", text.lower())
    assert [as_number(x) for x in shown if x] == sorted(as_number(x) for x in shown if x)
    word = shown[len(shown) // 2]
    tab.locator(".explorer .dataTable thead tr").nth(1).locator("th, td").nth(at).locator("input").first.fill(word)
    tab.wait_for_timeout(600)  # the table waits for the end of typing
    found = [row[at].lower() for row in rows(tab)]
    assert found and all(part in text for text in found for part in word.lower().split())
    assert not tab.wrong


def test_from_a_question_to_everything_about_a_method(tab):
    """ "What is inter-channel correlation": the search leads to the page, its head to all else, without scrolling."""
    opened(tab, "search.html", f"?q={quote('inter-channel correlation')}")
    tab.wait_for_function("document.querySelector('#search-results .search-summary')?.textContent.includes('inished')")
    links = tab.locator("#search-results ul.search li a")
    found = [links.nth(i).get_attribute("href").partition("#")[0].partition("?")[0] for i in range(links.count())]
    assert "losses/classification/ickd.html" in found[:3] and "guide/glossary.html" in found, found
    opened(tab, "guide/glossary.html")
    tab.locator("dd a", has_text="ICKD").first.click()
    assert tab.url.endswith("losses/classification/ickd.html")
    tab.set_viewport_size({"width": 1280, "height": 900})
    for words, target in {
        "the loss": "ickd.html#",
        "API": "api/losses.classification.ickd.html",
        "source": "_modules/icckd/losses/classification/ickd.html",
        "recomputed": "ickd.html#",
        "what it gained here": "ickd.html#what-it-gained-here",
        "records": "results/records.html",
        "that it beats others": "results/claims.html",
        "on your own network": "tutorials/distil_your_own_model.html",
    }.items():
        opened(tab, "losses/classification/ickd.html")
        link = tab.locator(".in-this-project a", has_text=words).first
        assert link.bounding_box()["y"] < 900, f"{words}: below the first screen"
        link.click()
        assert target in tab.url, (words, tab.url)
        assert not tab.wrong


def test_a_method_leads_to_its_rows(tab):
    """From a method's page to its published values, and to its records where there are any."""
    opened(tab, "losses/classification/ickd.html")
    targets = tab.eval_on_selector_all(".in-this-project a", "links => links.map((a) => a.getAttribute('href'))")
    texts = " ".join(targets)
    assert all(part in texts for part in ("records.html", "claims.html", "published.html", "#", "api/", "distil"))
    tab.locator(".in-this-project a", has_text="published values").click()
    tab.wait_for_selector(".explorer-filter:not([hidden])")
    at = column(tab, "method")
    assert rows(tab) and all(row[at].startswith("ickd_c") for row in rows(tab))
    for target in ("records", "weights"):
        opened(tab, "losses/classification/ickd.html")
        link = tab.locator(f".gained a[href*='{target}.html']")
        if link.count():
            link.first.click()
            tab.wait_for_selector(".explorer-filter:not([hidden])")
            at = column(tab, "method")
            assert rows(tab) and all(row[at].startswith("ickd_c") for row in rows(tab))
    assert not tab.wrong
