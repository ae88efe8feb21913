"""Shared by all tests: the repository root, one thread, and a command runner."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def root():
    return ROOT


def pytest_collection_finish(session):
    """Tests that share what is dear, or a lock, run in one process: pytest-xdist puts the group behind names."""
    if session.config.getoption("loadgroup", False):
        lost = [i.nodeid for i in session.items if i.get_closest_marker("xdist_group") and "@" not in i.nodeid]
        assert not lost, f"pytest-xdist does not group {lost[0]}: this pytest is too new for it"


def command(*words, cwd=ROOT, limit=300, **environment):
    """A finished process with its output as text; never raises for an exit code."""
    return subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", **environment},
        capture_output=True,
        text=True,
        timeout=limit,
    )


def papermill(notebook, output, cwd=ROOT, limit=300, **parameters):
    """Runs a notebook as the README shows; parameters as papermill's -p (numbers) and -r (text)."""
    flags = [
        word for name, value in parameters.items() for word in ("-r" if isinstance(value, str) else "-p", name, value)
    ]
    return command(
        sys.executable, "-m", "papermill", notebook, output, "--no-progress-bar", *flags, cwd=cwd, limit=limit
    )
