"""Builds the site: `python docs/build.py` lays pages out in `_proc/site`, then Sphinx writes `_docs`.

Only what changed is done again.
"""

import ast
import json
import os
import re
import shutil
import sys
from base64 import b64encode
from importlib.util import find_spec
from pathlib import Path

import conf  # it puts this very tree in front of an installed one

# isort: split
import answers
import docments
import method_links
import results_pages

ROOT = Path(__file__).resolve().parent.parent
SITE, STATIC, DOCTREES, OUT = (ROOT / name for name in ("_proc/site", "_proc/static", "_proc/doctrees", "_docs"))
BUILT = OUT / ".built"  # its time is that of the last whole build
GROUPS = {  # caption of the sidebar -> {page: title and folders (in reading order)}; a page without title is a file
    "Start": ["guide/choose_a_method", "tutorials", "guide/troubleshooting", "guide/glossary"],
    "Results": ["results", "papers"],
    "Methods": ["losses/classification", "losses/segmentation", "losses"],
    "The rest of the library": [
        *("data", "models", "training", "evaluation", "golden", "runs", "reporting", "distillation", "core"),
    ],
    "Tools": ["run", "benchmarks", "api"],
}
FOLDERS = {
    "tutorials": ("Tutorials", "Your own network, method or data set, step by step."),
    "papers": ("Papers", "The tables and figures of the four documents, published values beside measured ones."),
    "losses/classification": ("Losses for classification", "One page a method."),
    "losses/segmentation": ("Losses for segmentation", "One page a method."),
    "losses": ("What losses share", "The contract of a criterion, the table of methods, and how losses are checked."),
    "data": ("Data", "Data sets, their readers, and what happens to a batch."),
    "models": ("Networks", "Students and teachers, and how their layers are read."),
    "training": ("Training", "One loop for all students of a seed."),
    "evaluation": ("Evaluation", "Scores, and what is done with a student's outputs."),
    "golden": ("Golden cases", "The authors' values and gradients, recomputed."),
    "runs": ("Runs", "What is trained, what is recorded, and when a record is out of date."),
    "reporting": ("Reporting", "From records to tables, claims and figures."),
    "distillation": ("Distillation", "Your own networks and data: what `icckd.distil` is made of."),
    "core": ("Core", "Checks, files, random numbers and digests of code."),
    "run": ("Notebooks to run", "Parameterised with papermill."),
    "benchmarks": ("Time and memory", "Each loss and the training step against the published code."),
    "results": ("Results explorer", "Every record, published value and claim, to sort and to filter."),
    "api": ("API reference", "Every public name, with shapes, units and errors."),
}

ORDER = ["losses", "models", "data", "training", "evaluation", "golden", "runs", "reporting", "distillation", "core"]


def notebooks():
    "Page -> notebook. A paper's page is its executed report; each profile has its own."
    pages = {}
    for path in sorted((ROOT / "nbs").rglob("*.ipynb")):
        page = path.relative_to(ROOT / "nbs").with_suffix("")
        if not any(part[0] in "._" for part in page.parts) and page.parts[0] != "papers":
            pages[page.as_posix()] = path
    for path in sorted(results_pages.RESULTS.glob("*/reports/[!.]*.ipynb")):
        pages[f"papers/{path.parts[-3]}/{path.stem}"] = path
    return pages


def opening(path):
    "(title, claim) of a notebook: its first heading, and the quoted paragraph below it or else the first sentence."
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = next("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    title = next((line[2:].strip() for line in text.splitlines() if line.startswith("# ")), path.stem)
    paragraphs = [p.strip() for p in text.split("\n\n") if p.strip() and not p.startswith("# ")]
    quoted = next((p for p in paragraphs if p.startswith(">")), "")
    first = paragraphs[0].partition(". ")[0].rstrip(".") + "." if paragraphs and paragraphs[0][0] not in "|#!" else ""
    claim = " ".join(line.lstrip("> ") for line in (quoted or first).splitlines())
    return title, re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", claim)


def processed(path, page, pages):
    "The notebook as a page: nbdev's processors apply its directives; exported code stays, no cell is run."
    from execnb.nbio import nb2dict, read_nb
    from nbdev import processors

    class Pages(processors.FilterDefaults):
        def base_procs(self):
            wanted = ("populate_language", "strip_ansi", "hide_line", "filter_stream_", "clean_magics", "hide_")
            return [p for p in super().base_procs() if p.__name__ in wanted]

    notebook = read_nb(path)
    Pages()(notebook)
    kept = []
    for cell in nb2dict(notebook)["cells"]:
        lines = "".join(cell["source"]).split("\n")
        directives = "\n".join(line for line in lines if line.startswith("#|"))
        source = "\n".join(line for line in lines if not line.startswith("#|")).strip("\n")
        if "injected-parameters" in cell["metadata"].get("tags", []) or not (source or cell.get("outputs")):
            continue
        if cell["cell_type"] == "markdown":
            kept.append({"cell_type": "markdown", "metadata": {}, "source": relinked(source, path, page, pages)})
            continue
        outputs = [plain(output, path) for output in cell.get("outputs", [])]
        shown = {"tags": tags(directives) + ["remove-input"] * (not source)}  # reports have quiet cells without source
        source = source or "..."  # or MyST-NB leaves the cell out
        kept.append(
            {"cell_type": "code", "metadata": shown, "execution_count": None, "source": source, "outputs": outputs}
        )
    return kept


def tags(directives):
    "What Quarto's directives mean in MyST-NB."
    given = {name: value.strip() for name, value in re.findall(r"^#\|\s*([\w-]+):(.*)$", directives, flags=re.M)}
    found = ["remove-input"] if given.get("echo") == "false" else []
    found += ["remove-output"] if given.get("output") == "false" else []
    found += ["remove-cell"] if given.get("include") == "false" else []
    found += ["hide-input"] if given.get("code-fold") == "true" else []
    return found


def plain(output, path):
    "An output of which only what a page shows is left; a picture that a large report links to is put in."
    output = {key: value for key, value in output.items() if key not in ("execution_count",)}
    if output["output_type"] in ("execute_result", "display_data"):
        picture = re.fullmatch(r"!\[.*\]\((\.\./.*\.png)\)\s*", "".join(output["data"].get("text/markdown", "")))
        data = {"image/png": encoded(path.parent / picture.group(1))} if picture else output["data"]
        output = {"output_type": "display_data", "metadata": {}, "data": data}
    return output


def encoded(path):
    "A file as notebooks hold pictures."
    return b64encode(path.read_bytes()).decode()


def relinked(text, path, page, pages):
    "Links to notebooks lead to their pages; links to other files of the repository lead to the repository."
    home = ROOT / "nbs" / "papers" if page.startswith("papers/") else path.parent  # reports are executed copies
    of_file = {str(source): name for name, source in pages.items()}

    def link(found):
        target, mark, anchor = found.group(2).partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return found.group()
        there = (home / re.sub(r"\.html$", ".ipynb", target)).resolve()
        known = of_file.get(str(there))
        if known is None and there.parent == ROOT / "nbs" / "papers":
            known = next((p for p in (f"papers/{name}/{there.stem}" for name in profiles()) if p in pages), None)
        if known is not None:
            return f"]({os.path.relpath(known + '.ipynb', os.path.dirname(page) or '.')}{mark}{anchor})"
        if (ROOT / "docs" / "guide" / there.name).exists():
            return f"]({os.path.relpath('guide/' + there.name, os.path.dirname(page) or '.')}{mark}{anchor})"
        if there.exists():
            return f"]({conf.REPOSITORY}/{there.relative_to(ROOT).as_posix()}{mark}{anchor})"
        return found.group()  # Sphinx says that it leads nowhere

    return re.sub(r"(\]\()([^)\s]+)\)", link, text)


def profiles():
    "Names of the profiles with results, `quick` first."
    return list(results_pages.folders())


def papers_of(pages):
    "The folders of reports, one a profile."
    return dict.fromkeys(os.path.dirname(page) for page in pages if page.startswith("papers/"))


def as_notebook(cells):
    metadata = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}}
    metadata["language_info"] = {"name": "python"}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}, indent=0)


def markdown_cell(text):
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def toctree(entries, caption="", hidden=False):
    lines = ["```{toctree}", ":maxdepth: 1", *([f":caption: {caption}"] if caption else [])]
    return "\n".join([*lines, *([":hidden:"] if hidden else []), "", *entries, "```", ""])


def folder_page(folder, entries):
    "A page that lists a folder's pages with their claims. `entries`: page -> (title, claim)."
    title, what = FOLDERS.get(folder, (folder.capitalize(), ""))
    lines = [f"# {title}", "", what, ""]
    for page, (name, claim) in entries.items():
        lines.append(f"* [{name}](/{page}){': ' + claim if claim else ''}")
    return "\n".join([*lines, "", toctree([f"/{page}" for page in entries], hidden=True)])


def api_pages():
    "Page -> text of the API reference: a list of all modules, and a page each (too many for the sidebar)."
    title, what = FOLDERS["api"]
    texts, listed = {}, {}
    for path in sorted((ROOT / "icckd").rglob("*.py")):
        parts = path.relative_to(ROOT / "icckd").with_suffix("").parts
        if parts[-1].startswith("_"):
            continue
        name = ".".join(parts)
        doc = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
        listed.setdefault(parts[0], []).append(
            f"* :doc:`{name} </api/{name}>`: {docments.as_rst(' '.join(doc.split()))}"
        )
        page = ":doc:`API reference </api/index>`"
        if (ROOT / "nbs" / Path(*parts).with_suffix(".ipynb")).exists():
            page += f" · :doc:`the notebook that explains it </{'/'.join(parts)}>`"
        texts[f"api/{name}"] = (
            ":orphan:\n\n"
            + headed(f"icckd.{name}".replace(".", ".\u200b"))
            + f"{page}\n\n.. automodule:: icckd.{name}\n"
        )
    lines = [headed(title), what, ""]
    for folder in sorted(listed, key=lambda name: ORDER.index(name) if name in ORDER else -1):
        lines += [headed(f"icckd.{folder}", "-"), *listed[folder], ""]
    texts["api/index"] = "\n".join(lines)
    return texts


def headed(text, line="="):
    text = text.replace("_", "\\_")
    return f"{text}\n{line * len(text)}\n\n"


def layout():
    "File name -> text of everything that Sphinx reads."
    os.chdir(ROOT)
    pages = notebooks()
    openings = {page: opening(path) for page, path in pages.items()}
    files = {f"{page}.rst": text for page, text in api_pages().items()}
    files |= {f"guide/{path.name}": path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "guide").glob("*.md")}
    files |= results_pages.pages()
    files["guide/choose_a_method.md"] = answers.filled(files["guide/choose_a_method.md"])
    folders = list(FOLDERS) + sorted({os.path.dirname(page) for page in pages} - set(FOLDERS) - {"", *papers_of(pages)})
    for folder in folders:
        inside = [
            page
            for page in pages
            if os.path.dirname(page) in (folder, *(papers_of(pages) if folder == "papers" else ()))
        ]
        entries = {page: openings[page] for page in inside}
        if folder == "papers":
            inside.sort(key=lambda page: profiles().index(page.split("/")[1]))
            entries = {page: (f"{openings[page][0]} ({page.split('/')[1]})", openings[page][1]) for page in inside}
        if inside:
            files[f"{folder}/index.md"] = folder_page(folder, entries)
    groups = {caption: list(entries) for caption, entries in GROUPS.items()}
    groups["The rest of the library"] += [folder for folder in folders if folder not in FOLDERS]
    trees = []
    for caption, entries in groups.items():
        names = [
            name
            for entry in entries
            for name in (entry, f"{entry}/index")
            if {f"{name}.md", f"{name}.rst"} & set(files)
        ]
        trees.append(toctree(names, caption, hidden=True))
    heads = method_links.heads(pages)
    for page, path in pages.items():
        cells = processed(path, page, pages)
        if page in heads:
            cells = method_links.inserted(cells, heads[page])
        if page.startswith("papers/"):
            cells[0]["source"] = re.sub(
                r"^# .*", lambda m: f"{m.group()} ({page.split('/')[1]})", cells[0]["source"], count=1
            )
        source = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
        cells.append(markdown_cell(f"{{.source}}\nSource: [`{source}`]({conf.REPOSITORY}/{source})"))
        if page == "index":
            cells[0]["source"] = answers.filled(cells[0]["source"])
            cells.append(markdown_cell("\n".join(trees)))
        files[f"{page}.ipynb"] = as_notebook(cells)
    return files


def write(files):
    "Writes what differs, so that Sphinx reads only that again, and removes what is no more."
    for path in [path for path in SITE.rglob("*") if path.is_file()]:
        if path.relative_to(SITE).as_posix() not in files:
            path.unlink()
    for name, text in files.items():
        path = SITE / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def drop_old_pages(files):
    "Removes pages of earlier builds whose source is gone."
    wanted = {str(Path(name).with_suffix("")) for name in files} | {
        "genindex",
        "py-modindex",
        "search",
        "_modules/index",
    }
    wanted |= {*results_pages.raw_records(), *results_pages.trials()}
    for path in OUT.rglob("*.html"):
        page = path.relative_to(OUT).as_posix().removesuffix(".html")
        if page not in wanted and not (ROOT / page.removeprefix("_modules/")).with_suffix(".py").exists():
            path.unlink()


def vendored():
    "MathJax and the tables' script, taken from the installed packages, so that no page asks the network for them."
    (mathjax,) = find_spec("mathjax").submodule_search_locations  # of django-static-mathjax (MathJax, Apache-2.0)
    static = {"mathjax/tex-svg.js": Path(mathjax) / "static" / "mathjax" / "es5" / "tex-svg.js"}
    for name, source in static.items():
        target = STATIC / name
        if not target.exists() or target.stat().st_size != source.stat().st_size:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    target, script = STATIC / "tables.js", results_pages.tables_script()
    if not target.exists() or target.read_text(encoding="utf-8") != script:
        target.write_text(script, encoding="utf-8")


def main():
    from sphinx.cmd.build import main as sphinx_build

    vendored()
    files = layout()
    write(files)
    options = ["-b", "html", "-q", "-j", "2", "-W", "--keep-going", "-c", ROOT / "docs", "-d", DOCTREES, SITE, OUT]
    code = sphinx_build([str(option) for option in options])
    if code:  # a page with a warning is not read again otherwise, and the next build would pass
        for folder in (DOCTREES, OUT / "_modules"):
            shutil.rmtree(folder, ignore_errors=True)
        sys.exit(code)
    drop_old_pages(files)
    BUILT.touch()
    print(f"{len(list(OUT.rglob('*.html')))} pages in {OUT.name}; start at {OUT.name}/index.html")


if __name__ == "__main__":
    main()
