"""Committed results: every table number can be computed again from the records that its row names."""

import math
from concurrent.futures import ProcessPoolExecutor

import pandas as pd
import pytest
from conftest import ROOT

from icckd.reporting.tables import recompute
from icckd.runs.profiles import find_profile
from icckd.runs.records import RECORD_FIELDS, read_record, read_records, write_record
from icckd.runs.sweep import choose_weights, without_weight

TABLES = sorted((ROOT / "results").glob("*/tables/*.csv"))
FIELDS = (
    "profile paper_pair dataset teacher student method seed epochs variant recipe split last best status seconds "
    "device threads precision versions key code_digest data_digest teacher_weights_digest"
).split()


@pytest.mark.parametrize("path", TABLES, ids=lambda p: f"{p.parts[-3]}/{p.stem}")
def test_table_numbers_come_from_their_records(path):
    table = pd.read_csv(path)
    if not {"records", "measured_mean"} <= set(table):
        pytest.skip("a table without measured numbers")
    rows = table[table["n"] > 0]
    for _, row in rows.iterrows():
        mean, sd, n = recompute(row, path.parent.parent / "records")
        assert math.isclose(mean, row["measured_mean"], rel_tol=1e-12) and n == row["n"]
        assert (math.isnan(sd) and pd.isna(row["measured_sd"])) or math.isclose(
            sd, row["measured_sd"], rel_tol=1e-9, abs_tol=1e-12
        )


@pytest.mark.parametrize("folder", sorted((ROOT / "results").glob("*/records")), ids=lambda p: p.parent.name)
def test_records_are_whole(folder):
    for name, record in read_records(folder).items():
        assert not [f for f in FIELDS if f not in record], name
        assert record["status"] in ("ok", "failed") and (
            record["status"] == "failed" or {"epoch"} <= set(record["best"])
        ), name
        arrays = folder / f"{name.removesuffix('.json')}.npz"
        assert not arrays.exists() or arrays.stat().st_size <= 100_000, name


def _write_many(arguments):
    folder, process = arguments
    for number in range(10):
        content = dict.fromkeys(RECORD_FIELDS) | {"key": f"{process}-{number}", "status": "ok", "filler": "x" * 5000}
        write_record(folder, f"own-{process}-{number}", content)
        write_record(folder, "shared", content)
    return process


def test_parallel_writers_lose_and_mix_nothing(tmp_path):
    with ProcessPoolExecutor(20) as pool:
        assert len(list(pool.map(_write_many, [(tmp_path, p) for p in range(20)]))) == 20
    records = read_records(tmp_path)
    assert len(records) == 201 and not list(tmp_path.glob(".*"))
    assert all(records[f"own-{p}-{n}.json"]["key"] == f"{p}-{n}" for p in range(20) for n in range(10))
    assert read_record(tmp_path / "shared.json")["filler"] == "x" * 5000


@pytest.mark.parametrize("folder", sorted((ROOT / "results").glob("*/sweep")), ids=lambda p: p.parent.name)
def test_the_choice_of_weights_is_that_of_the_recorded_trials(folder):
    """The table follows from the records, no trial saw the evaluation split, and the profile runs what was chosen."""
    records, chosen = read_records(folder / "records").values(), pd.read_csv(folder / "weights.csv")
    assert all(record["split"] == "held-out" for record in records)
    assert list(choose_weights(list(records))["chosen"]) == list(chosen["chosen"])
    for block in find_profile(folder.parent.name).blocks:
        same = chosen[["dataset", "teacher", "student"]] == [block.dataset, block.teacher, block.student]
        wanted = dict(chosen[same.all(axis=1)][["method", "chosen"]].values)
        assert [wanted[without_weight(method)] for method in block.methods] == list(block.methods)
