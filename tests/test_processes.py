"""Two processes give what one gives that splits each batch in two, criteria that compare samples included."""

import json
import os
import socket
import subprocess
import sys

import pytest
from conftest import ROOT
from small_training import train_plan


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What each of two processes ended with."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    result = tmp_path_factory.mktemp("processes") / "result"
    # `--cpu` would start a single process (accelerate leaves several to MPI); `--multi_gpu` starts as many as
    # asked for, and the script says that they use the CPU.
    words = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        "--main_process_port",
        port,
        ROOT / "tests" / "small_training.py",
        result,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(list(map(str, words)), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return [json.loads(result.with_name(f"result-{k}.json").read_text()) for k in (0, 1)]


@pytest.mark.parametrize("name", ["classification in parts", "segmentation in parts"])
def test_two_processes_are_one_with_two_parts(two, name):
    one = train_plan(name, batch_parts=2)
    assert all(student["failure"] is None for student in one.values())
    assert two[0][name] == one
    assert two[1][name] == one
