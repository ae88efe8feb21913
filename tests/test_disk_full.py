"""A full disk leaves the old file intact and says which file could not be written."""

import shutil
import subprocess

import pytest
import torch

from icckd.runs.records import RECORD_FIELDS, read_record, write_record
from icckd.training.checkpoints import load_checkpoint, save_checkpoint

EMPTY = dict.fromkeys(RECORD_FIELDS)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
    shutil.rmtree(folder, ignore_errors=True)


def test_checkpoint(small_disk):
    save_checkpoint(small_disk, 1, {"step": 1})
    with pytest.raises(OSError, match="could not write .*step-000000002.*No space left"):
        save_checkpoint(small_disk, 2, {"step": 2, "weights": torch.zeros(10**6)})
    assert load_checkpoint(small_disk) == {"step": 1} and len(list(small_disk.iterdir())) == 1


def test_record(small_disk):
    write_record(small_disk, "student", EMPTY | {"key": "old"})
    with pytest.raises(OSError, match="could not write .*student.json.*unchanged"):
        write_record(small_disk, "student", EMPTY | {"key": "new", "filler": "x" * 2 * 10**6})
    assert read_record(small_disk / "student.json")["key"] == "old" and len(list(small_disk.iterdir())) == 1
