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
from urllib.parse import quote, unquote, urldefrag

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "_docs"
BUILT = DOCS / ".built"
FROM = [*(ROOT / "nbs").rglob("*.ipynb"), *(ROOT / "docs").rglob("*.*")]
if not BUILT.exists() or any(path.stat().st_mtime > BUILT.stat().st_mtime for path in FROM):
    pytest.skip("no up-to-date site in _docs; `make test-site` builds and tests it", allow_module_level=True)

PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.html"))
RECORDS = [page for page in PAGES if page.startswith("records/")]
SOURCES = [page for page in PAGES if page.startswith("_modules/")]
# Pages of one template are opened in part: the first ten of records and of source listings.
OPENED = [p for p in PAGES if p not in {*RECORDS[10:], *SOURCES[10:]}]


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


@pytest.mark.parametrize("table, name", [("records", "method"), ("published", "value"), ("claims", "claim")])
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
    as_number = lambda text: float(text) if name == "value" else text.lower()
    assert [as_number(x) for x in shown if x] == sorted(as_number(x) for x in shown if x)
    word = shown[len(shown) // 2]
    tab.locator(".explorer .dataTable thead tr").nth(1).locator("th, td").nth(at).locator("input").first.fill(word)
    tab.wait_for_timeout(600)  # the table waits for the end of typing
    assert rows(tab) and all(word.lower() in row[at].lower() for row in rows(tab))
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
    assert not tab.wrong
