"""`kill -9` at any moment, then the same command: weights and metrics are bit for bit those without a kill."""

import json
import os
import random
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

import pytest
from conftest import ROOT
from small_training import train_plan

from icckd.runs.pair import distil_pair
from icckd.runs.records import read_records
from icckd.runs.run import open_run

SCRIPT = ROOT / "tests" / "small_training.py"


def start(*words):
    """A Python process whose output can be read afterwards."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def checkpoints(folder):
    """(steps done, file), newest last; safe while they come and go."""
    files = (Path(place, name) for place, _, names in os.walk(folder) for name in names)  # rglob fails on a lost folder
    return sorted((int(p.name[5:14]), p) for p in files if fnmatch(p.name, "step-*.safetensors"))


def newest_step(folder):
    found = checkpoints(folder)
    return found[-1][0] if found else -1


def kill_when(process, reached, delay):
    """Kills the process a moment after `reached()`. Fails if it ended before."""
    limit = time.monotonic() + 600
    while not reached():
        assert process.poll() is None, f"the process ended before it was killed:\n{process.communicate()[0]}"
        assert time.monotonic() < limit, "the process made no progress"
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    return process.communicate()[0]


@pytest.mark.parametrize("name, steps", [("classification", 12), ("segmentation", 9)])
def test_killed_runs_end_as_if_nothing_had_happened(name, steps, tmp_path, capsys):
    draw, folder, result = random.Random(name), tmp_path / "checkpoints", tmp_path / "result.json"
    later = sorted(draw.sample(range(2, steps - 1), 2))
    delays = [draw.uniform(0, 0.2) for _ in range(3)]
    with capsys.disabled():
        print(
            f"\n{name}: killed in the stage before distillation and after steps {later}, "
            f"{', '.join(f'{1000 * d:.0f}' for d in delays)} ms later"
        )

    kill_when(start(SCRIPT, name, folder, result), lambda: newest_step(folder) == 0, delays[0])
    kill_when(start(SCRIPT, name, folder, result), lambda: newest_step(folder) >= later[0], delays[1])
    step, newest = checkpoints(folder)[-1]
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-100])  # as if the disk had lost the end of it
    made_again = lambda: newest_step(folder) > step or newest.exists() and newest.stat().st_size == len(whole)
    said = kill_when(
        start(SCRIPT, name, folder, result), lambda: newest_step(folder) >= later[1] and made_again(), delays[2]
    )
    assert f"checkpoint {newest.name} is damaged" in said and "using the one before" in said

    newest = checkpoints(folder)[-1][1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1  # one bit of one weight
    newest.write_bytes(content)
    assert not result.exists()
    last = start(SCRIPT, name, folder, result)
    said, _ = last.communicate(timeout=600)
    assert last.returncode == 0 and f"checkpoint {newest.name} is damaged" in said, said
    assert json.loads(result.read_text()) == train_plan(name)


RUN = dict(
    profile="own",
    dataset="digits100",
    train_limit=200,
    held_out=1,  # scored on 100 samples, where the evaluation split would take seconds an epoch
    teacher="resnet14",
    student="resnet8",
    methods="none crd kd",
    batch_size=40,
    teacher_epochs=2,
    epochs=4,
)


def test_killed_run_of_a_pair_leaves_the_same_records(tmp_path):
    """As the run notebooks do it; killed while the teacher trains, and while the students do."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [
        "-c",
        "from icckd.runs.pair import distil_pair; from icckd.runs.run import open_run; "
        f"distil_pair(open_run('classification', results={str(killed)!r}, work={str(killed)!r}, **{RUN!r}))",
    ]
    folder = killed / "own" / "checkpoints"
    kill_when(start(*command), lambda: newest_step(folder) >= 3, 0.0)
    assert not (killed / "own" / "records").exists(), "a record is written last"
    kill_when(
        start(*command),
        lambda: any((killed / "own" / "records").glob("*teacher*.json")) and newest_step(folder) in (3, 6, 9),
        0.05,
    )
    last = start(*command)
    said, _ = last.communicate(timeout=600)
    assert last.returncode == 0 and "teacher resnet14: recorded" in said, said
    assert not list(folder.rglob("*.safetensors")), "checkpoints are removed when the records are written"
    distil_pair(open_run("classification", results=str(whole), work=str(whole), **RUN), say=lambda text: None)
    found, wanted = (read_records(where / "own" / "records") for where in (killed, whole))
    assert len(wanted) == 4 and set(found) == set(wanted)
    for name, record in wanted.items():
        same = ["status", "last", "best", "history", "weights_digest", "key", "details", "epochs"]
        assert [found[name][field] for field in same] == [record[field] for field in same], name
