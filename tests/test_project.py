"""The project's own promises: metadata in one place, notebooks in their form, modules importable from anywhere."""

import json
import re
import subprocess
import sys
from configparser import ConfigParser
from urllib.parse import quote

import pytest
import yaml
from conftest import ROOT, command
from papermill import inspect_notebook

from icckd.reporting.reports import with_lead

NOTEBOOKS = sorted(p for p in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
ORDER = ["core", "data", "models", "losses", "golden", "evaluation", "training", "runs", "reporting", "distillation"]


def settings():
    parser = ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini")
    return parser["DEFAULT"]


def test_environment_yml_agrees_with_settings_ini():
    values = settings()
    wanted = sorted(word for name in values if name.endswith("requirements") for word in values[name].split())
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(d["pip"] for d in dependencies if isinstance(d, dict))
    python = next(d for d in dependencies if isinstance(d, str) and d.startswith("python"))
    assert sorted(pip) == wanted
    assert tuple(map(int, python.split("=")[1].split("."))) >= tuple(map(int, values["min_python"].split(".")))


def test_development_tools_are_not_runtime_requirements():
    names = {re.split(r"[<>=]", r)[0] for r in settings()["requirements"].split()}
    assert not names & {"nbdev", "execnb", "fastcore", "ghapi", "fastgit", "papermill", "snakemake"}


def code(path):
    return ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_notebook_form(path):
    cells = json.loads(path.read_text())["cells"]
    assert all(isinstance(c["source"], list) for c in cells), "stored as Jupyter stores it: a list of lines"
    assert path.stat().st_size <= 300_000, "a committed notebook is at most 300 kB"
    assert not re.search(r"raise NotImplementedError|TODO|FIXME", "\n".join(code(path)))
    title = "".join(cells[0]["source"]).splitlines()[0]
    assert cells[0]["cell_type"] == "markdown" and title.startswith("# ")
    folder = path.relative_to(ROOT / "nbs").parts[0]
    for cell in cells if folder not in ("run", "papers") else []:  # those are executed anew elsewhere
        outputs = [kind for output in cell.get("outputs", []) for kind in output.get("data", {})]
        drawn = "plt.show()" not in "".join(cell["source"]) or any(kind.startswith("image/") for kind in outputs)
        assert drawn, f"cell {cell['id']}: a figure without its picture: execute the notebook and save it"
    target = next((m[1] for c in code(path) if (m := re.search(r"^#\| default_exp (\S+)", c, re.M))), None)
    if target is None:
        assert folder in ("run", "papers", "tutorials", "benchmarks") or path.name == "index.ipynb", (
            "a library notebook exports a module"
        )
        return
    assert target.split(".")[-1] == path.stem, "file and module carry one name"
    squeezed = re.sub(r"[^a-z0-9]", "", title[2:].lower())
    assert squeezed == re.sub(r"[^a-z0-9]", "", path.stem.lower()), "title and module carry one name"
    exported = "\n".join(c for c in code(path) if re.match(r"#\| export", c))
    used = set(re.findall(r"^from icckd\.(\w+)", exported, re.M))
    assert all(ORDER.index(u) <= ORDER.index(folder) for u in used if u in ORDER), (
        "imports only from folders to the left"
    )


@pytest.mark.parametrize("name", ["teacher", "classification_pair", "segmentation_pair", "weight_sweep", "custom_pair"])
def test_parameters_cell_is_the_checked_list(name):
    """Names, defaults and help are those of the one table; papermill shows them with --help-notebook."""
    from icckd.runs import parameters
    from icckd.runs.sweep import SEED

    cells = [
        c
        for c in json.loads((ROOT / f"nbs/run/{name}.ipynb").read_text())["cells"]
        if "parameters" in c["metadata"].get("tags", [])
    ]
    table = {"teacher": parameters.TEACHER, "custom_pair": parameters.CUSTOM}.get(name, parameters.PAIR)
    changes = {
        "segmentation_pair": parameters.SEGMENTATION_DEFAULTS,
        "weight_sweep": {"profile": "sweep", "held_out": 1, "seed": SEED},
    }.get(name, {})
    assert ["".join(c["source"]) for c in cells] == [parameters.with_help(table, **changes)]
    shown = inspect_notebook(str(ROOT / f"nbs/run/{name}.ipynb"))
    assert {name: entry["help"] for name, entry in shown.items()} == {name: p.help for name, p in table.items()}


def test_every_module_imports_from_an_empty_folder(tmp_path):
    modules = sorted(
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for p in (ROOT / "icckd").rglob("*.py")
        if p.name != "_modidx.py"
    )
    script = (
        "import importlib\nfor name in " + repr(modules) + ":\n    importlib.import_module(name)\nprint('all imported')"
    )
    done = command(sys.executable, "-c", script, cwd=tmp_path)
    assert "all imported" in done.stdout, done.stderr[-2000:]


def test_contracts_by_name():
    import icckd.golden
    import icckd.models
    import icckd.training

    assert callable(icckd.golden.replay) and callable(icckd.models.create_model) and callable(icckd.training.fit)


def test_nothing_large_or_private_is_tracked():
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    sizes = {n: (ROOT / n).stat().st_size for n in names if n and (ROOT / n).is_file()}
    assert not {n: s for n, s in sizes.items() if s > 300_000 and n != "icckd/_modidx.py"}  # the index is nbdev's
    assert not [n for n in sizes if n.startswith(("results/local", "data/", ".venv"))]


def test_paper_profile_resolves_for_every_table(tmp_path):
    """Every job of the paper profile has parameters, a recipe, methods that exist, and an estimated cost."""
    from icckd.losses.methods import find_method
    from icckd.runs.parameters import PAIR, TEACHER, check_parameters
    from icckd.runs.plan import make_jobs
    from icckd.training.recipes import find_recipe

    jobs = make_jobs("paper", results=str(tmp_path), work=str(tmp_path))
    assert {"cifar100", "imagenet", "cityscapes", "voc2012", "ade20k"} <= {job.parameters["dataset"] for job in jobs}
    for job in jobs:
        check_parameters(job.parameters, TEACHER if job.kind == "teacher" else PAIR)
        find_recipe(job.parameters["teacher_recipe"])
        assert job.resources["gpu"] == 1 and job.resources["runtime"] > 0
        for method in job.parameters.get("methods", "").split():
            find_method(method, job.kind)
            find_recipe(job.parameters["recipe"])
    assert len({job.name for job in jobs}) == len(jobs)


def test_counts_of_the_readme_are_those_of_the_project():
    from icckd.losses.methods import GROUPS, METHODS

    text = " ".join((ROOT / "README.md").read_text().split())
    count = lambda task, group: sum(
        row.group == group and row.variant is None and "+" not in name and name != "none"
        for name, row in METHODS[task].items()
    )
    segmentation = {row.own_term for name, row in METHODS["segmentation"].items() if name != "none"}
    methods = f"{count('classification', GROUPS[0]) + 1} for classification and {len(segmentation)} for segmentation"
    assert f"{methods}, with variants, and {count('classification', GROUPS[1])} later ones" in text  # MLLD is a variant
    cases = {
        name: len(list((ROOT / "tests/golden" / name).glob("*.npz"))) for name in ("classification", "segmentation")
    }
    assert f"{sum(cases.values())} stored cases" in text and f"({cases['classification']} classification, " in text
    assert f"{cases['segmentation']} segmentation)" in text
    assert f"{len(list((ROOT / 'tests/golden/trajectories').glob('*.npz')))} trajectories" in text


def test_the_readme_says_what_the_records_say():
    """`make report` writes the answers; here they are computed again."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_lead(text, str(ROOT / "results")).replace(f"{quote(str(ROOT))}/", "") == text, "run make report"
