"""The product in its smallest form, by its own commands: `make reproduce PROFILE=smoke`, and each run notebook."""

import json
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, command, papermill

pytestmark = pytest.mark.xdist_group("smoke")  # one process: the tests share a fixture that is dear
PAPERS = ["ickd", "ickd_supplement", "cwd_supplement", "mlld_supplement"]
TINY = {"train_limit": 32, "epochs": 1, "teacher_epochs": 1, "batch_size": 16}


def reproduce(results):
    """(finished `make reproduce`, seconds)."""
    start = time.monotonic()
    done = command("make", "reproduce", "PROFILE=smoke", f"RESULTS={results}", "CORES=2", limit=900, MAKEFLAGS="")
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done, time.monotonic() - start


def stamps(folder, pattern="*.json"):
    """file name -> (time of change, content)."""
    return {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(folder.glob(pattern))}


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The folder of a whole smoke reproduction."""
    results, work = tmp_path_factory.mktemp("results"), ROOT / "results/local/smoke"
    before = set(work.glob("manifests-*"))
    try:
        reproduce(results)
        yield results / "smoke"
    finally:
        for folder in set(work.glob("manifests-*")) - before:
            shutil.rmtree(folder)


def test_reproduction_makes_records_tables_figures_and_reports(smoke):
    records = {p.stem: json.loads(p.read_text()) for p in (smoke / "records").glob("*.json")}
    assert len(records) == 9 and {r["status"] for r in records.values()} == {"ok"}
    assert {r["method"] for r in records.values() if r["dataset"] == "digits100"} == {
        "teacher",
        "none",
        "kd",
        "ickd_c+kd",
        "mlld",
    }
    wanted = {
        "profile",
        "paper_pair",
        "dataset",
        "teacher",
        "student",
        "method",
        "seed",
        "epochs",
        "variant",
        "recipe",
        "split",
        "last",
        "best",
        "status",
        "seconds",
        "device",
        "threads",
        "precision",
        "versions",
        "key",
        "code_digest",
        "data_digest",
        "teacher_weights_digest",
    }
    for name, record in records.items():
        assert wanted <= set(record), name
        assert record["best"]["epoch"] == 1 and all(0 <= v <= 100 for v in record["last"].values())
    assert all(p.stat().st_size <= 100_000 for p in (smoke / "records").glob("*.npz"))
    tables = {p.stem for p in (smoke / "tables").glob("*.csv")}
    assert tables and tables == {p.stem for p in (smoke / "tables").glob("*.md")}
    assert list((smoke / "figures").glob("*.png"))
    for paper in PAPERS:
        cells = json.loads((smoke / "reports" / f"{paper}.ipynb").read_text())["cells"]
        assert not [o for c in cells for o in c.get("outputs", []) if o["output_type"] == "error"], paper
        assert any(c.get("outputs") for c in cells), paper


def test_every_table_number_comes_from_the_records_it_names(smoke):
    from icckd.reporting.tables import recompute

    numbers = 0
    for path in (smoke / "tables").glob("*.csv"):
        frame = pd.read_csv(path)
        if not {"records", "measured_mean", "metric", "n"} <= set(frame):
            continue
        for _, row in frame[frame["n"] > 0].iterrows():
            mean, sd, n = recompute(row, smoke / "records")
            assert n == row["n"] and mean == pytest.approx(row["measured_mean"], abs=1e-9), (
                f"{path.name}: {row['method']}"
            )
            assert (np.isnan(sd) and np.isnan(row["measured_sd"])) or sd == pytest.approx(row["measured_sd"], abs=1e-9)
            numbers += 1
    assert numbers >= 9


def test_a_second_reproduction_trains_nothing_and_is_quick(smoke):
    before = stamps(smoke / "records"), stamps(smoke / "reports", "*.ipynb")
    _, seconds = reproduce(smoke.parent)
    assert (stamps(smoke / "records"), stamps(smoke / "reports", "*.ipynb")) == before
    assert seconds < 60  # about 10 s on an idle machine


def test_a_deleted_record_is_all_that_is_missing(smoke):
    from icckd.runs.plan import job_states, make_jobs

    gone = next((smoke / "records").glob("digits100*--kd--*.json"))
    content = gone.read_bytes()
    gone.unlink()
    try:
        states = job_states(make_jobs("smoke", results=str(smoke.parent)))
    finally:
        gone.write_bytes(content)
    found = [(method, state) for job in states.values() for method, state in job.items()]
    assert len(found) == 9 and [method for method, state in found if state != "recorded"] == ["kd"]


@pytest.mark.slow  # all reports are made again; the notebooks of plan and pair test its two halves
def test_only_a_deleted_record_is_trained_again(smoke):
    gone = next((smoke / "records").glob("digits100*--kd--*.json"))
    known, before = json.loads(gone.read_text()), stamps(smoke / "records")
    gone.unlink()
    reproduce(smoke.parent)
    after = stamps(smoke / "records")
    assert {n for n in after if after[n] != before[n]} == {gone.name} and set(after) == set(before)
    again = json.loads(gone.read_text())
    assert (again["key"], again["last"], again["weights_digest"]) == (
        known["key"],
        known["last"],
        known["weights_digest"],
    )


# Bad parameters: (notebook, parameters, the sentence that it ends with)
BAD = {
    "unknown name": ("teacher", {"techer": "resnet8"}, r"parameter 'techer': did you mean teacher"),
    "missing data": (
        "teacher",
        {"dataset": "cifar100", "data_root": "nowhere"},
        r"cifar100: nowhere/cifar-100-python/train is missing; unpack",
    ),
    "wrong type": ("classification_pair", {"epochs": "many"}, r"epochs: wanted an integer, got 'many' \(str\)"),
    "method of the other task": ("segmentation_pair", {"methods": "crd"}, r"method 'crd' for segmentation: "),
}


# The same refusals, a process each spared: what the run notebooks call.
BAD_NAMES = {
    "method": ("classification", {"methods": "none ikcd_c"}, "method 'ikcd_c' for classification: did you mean ickd_c"),
    "network": ("classification", {"student": "resnet9"}, "network: unknown 'resnet9'; did you mean resnet8"),
    "data set": (
        "segmentation",
        {"dataset": "digit_scene"},
        "dataset: unknown 'digit_scene'; did you mean digit_scenes",
    ),
}


@pytest.mark.parametrize("case", BAD_NAMES)
def test_an_unknown_name_ends_with_one_sentence(case, tmp_path):
    from icckd.runs.parameters import RunError
    from icckd.runs.run import open_run

    kind, parameters, sentence = BAD_NAMES[case]
    with pytest.raises(RunError, match=re.escape(sentence)):
        open_run(kind, results=str(tmp_path), work=str(tmp_path), **parameters)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """All bad runs, two at a time: case -> (finished papermill, its results folder)."""

    def run(case):
        notebook, parameters, _ = BAD[case]
        folder = tmp_path_factory.mktemp("refused")
        return papermill(
            ROOT / f"nbs/run/{notebook}.ipynb",
            folder / "out.ipynb",
            results=str(folder),
            work=str(folder),
            **parameters,
        ), folder

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(BAD, pool.map(run, BAD)))


@pytest.mark.parametrize("case", BAD)
def test_a_bad_parameter_ends_with_one_sentence_and_no_record(refused, case):
    done, folder = refused[case]
    assert done.returncode != 0
    sentences = [line for line in done.stderr.splitlines() if "RunError" in line]
    assert sentences and re.search(BAD[case][2], sentences[-1]), done.stderr[-2000:]
    assert not list(folder.rglob("*.json")) and not list(folder.rglob("*.safetensors"))
    shown = [
        o
        for c in json.loads((folder / "out.ipynb").read_text())["cells"]
        for o in c.get("outputs", [])
        if o["output_type"] == "error"
    ]
    assert len(shown) == 1 and len(shown[0]["traceback"]) == 1 and "\n" not in shown[0]["traceback"][0], (
        "one sentence, without a traceback"
    )


def test_a_pair_works_alone_as_the_readme_shows(tmp_path):
    line = next(
        x
        for x in (ROOT / "README.md").read_text().splitlines()
        if x.strip().startswith("papermill nbs/run/classification_pair.ipynb")
    )
    shown = {name: quoted or plain for name, quoted, plain in re.findall(r'-[pr] (\w+) (?:"([^"]*)"|(\S+))', line)}
    given = {name: int(value) if value.isdigit() else value for name, value in shown.items()} | TINY
    done = papermill(
        "nbs/run/classification_pair.ipynb", tmp_path / "out.ipynb", results=str(tmp_path), work=str(tmp_path), **given
    )
    assert done.returncode == 0, done.stderr[-3000:]
    records = [json.loads(p.read_text()) for p in (tmp_path / "mine/records").glob("*.json")]
    assert {r["method"] for r in records} == {"teacher", *shown["methods"].split()} and all(
        r["status"] == "ok" for r in records
    )


def test_commands_of_the_readme_name_what_exists():
    from icckd.runs.plan import chosen_blocks
    from icckd.runs.profiles import find_profile

    shown = re.findall(r"^make (?:reproduce|plan) +(\w+)=(\"[^\"]+\"|\S+)", (ROOT / "README.md").read_text(), re.M)
    assert {name for name, _ in shown} == {"PROFILE", "PAIRS", "METHODS", "SEEDS"}
    for name, value in shown:
        value = value.strip('"')
        assert (
            find_profile(value)
            if name == "PROFILE"
            else name == "SEEDS" or chosen_blocks(find_profile("quick"), **{name.lower(): value})
        )


# Mistyped arguments of make: (words, the sentence)
MISTYPED = {
    "profile": ("reproduce PROFILE=quik", "PROFILE: wanted one of smoke quick short paper, got 'quik'"),
    "profile of a report": ("report PROFILE=quik", "PROFILE: wanted one of smoke quick short paper, got 'quik'"),
    "executor": ("reproduce PROFILE=smoke EXECUTOR=slrum", "EXECUTOR: wanted one of local slurm, got 'slrum'"),
    "name": ("plan SEED=3", "SEED: no such variable; wanted PROFILE, PAIRS, METHODS, SEEDS"),
    "seed": ("plan SEEDS=-1", "SEEDS: wanted integers from 0, got '-1'"),
    "nothing to run": (
        "reproduce PROFILE=smoke PAIRS=digits100-resnet20-resnet8@0.5 METHODS=cwd",
        "nothing to run: none of METHODS 'cwd' is for the task of PAIRS",
    ),
}


@pytest.mark.parametrize("case", MISTYPED)
def test_a_mistyped_argument_of_make_ends_with_one_sentence(case, tmp_path):
    words, sentence = MISTYPED[case]
    done = command("make", *words.split(), f"RESULTS={tmp_path}", MAKEFLAGS="")
    text = done.stdout + done.stderr
    assert done.returncode != 0 and sentence in text and "Traceback" not in text
    assert (
        not list(tmp_path.iterdir())
        and not (ROOT / "results/quik").exists()
        and not (ROOT / "results/local/quik").exists()
    )


def test_make_knows_the_profiles():
    from icckd.runs.profiles import find_profile

    names = re.search(r"one_of,PROFILE,([^)]+)\)", (ROOT / "Makefile").read_text())[1].split()
    with pytest.raises(ValueError, match="known: " + ", ".join(sorted(names)) + ";"):
        find_profile("--")
