"""What `make reproduce` says while it works, and that nothing of it is left when it ends, however it ends."""

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time

import pytest
from conftest import ROOT

# An engine as Snakemake is one: it writes its tasks, starts a job, and can be told how to go on.
ENGINE = """
import json, os, subprocess, sys, threading, time
from pathlib import Path
from icckd.runs.batch import FAILED, PLAN, Task, end_with_watcher

place, how = (lambda name: str(Path(sys.argv[1], name))), sys.argv[2]
print("Select jobs to execute...", flush=True)
if how == "refuse":
    sys.exit("icckd: nothing to run: none of METHODS 'cwd' is for the task of PAIRS 'x'")
students = {m: {"record": place(f"{m}.json"), "changed": None, "seconds": 10.0} for m in ("none", "kd", "at")}
at = {"at": students.pop("at")}
job = Task("digits100, resnet20 -> resnet8, seed 0", place("job.log"), place("m.json"), 1.0, "top1", students)
other = Task("digits100, resnet20 -> resnet8, seed 1", place("other.log"), place("other.json"), 1.0, "top1", at)
report = Task("report ickd", place("report.log"), place("report.json"), 4.0)
Path(place("tasks")).write_text(json.dumps([vars(task) for task in (job, other, report)]))
os.replace(place("tasks"), os.environ[PLAN])
threading.Thread(target=end_with_watcher, daemon=True).start()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])  # a job
Path(place("child")).write_text(str(child.pid))
pause = lambda: time.sleep(0.8)  # longer than the watcher sleeps
Path(job.log).write_text("epoch 9/10: none 40.00, kd 41.00\\n")
if how == "wait":
    child.wait()
pause()
for method, score in (("none", 61.2), ("kd", 62.5)):
    Path(students[method]["record"]).write_text(json.dumps({"status": "ok", "last": {"top1": score, "top5": 90.0}}))
Path(job.manifest).write_text("{}")
pause()
child.kill()
if how == "fail":
    Path(other.log).write_text(f"ValueError: first\\nicckd.runs.parameters.RunError: cifar100 is missing\\n{FAILED}\\n")
    pause()
    sys.exit(3)
Path(report.manifest).write_text('{"report": "results/quick/reports/ickd.ipynb"}')
"""


def start(folder, how, **streams):
    """The watcher in a process group of its own, as a shell starts it."""
    words = "from icckd.runs.batch import main; main()", folder / "quick", sys.executable, "-c", ENGINE, folder, how
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | streams
    return subprocess.Popen([sys.executable, "-c", *map(str, words)], cwd=ROOT, text=True, process_group=0, **streams)


def wait_for(what, seconds=30):
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.05)


def is_free(folder):
    """Whether nobody holds the batch's lock."""
    with open(folder / "quick/.lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def lives(pid):
    """Whether a process is there and no zombie."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(found) and not found.startswith("Z")


@pytest.fixture
def waiting(tmp_path):
    """(a batch whose job never ends, its watcher, its engine's process, its job's process)"""
    watcher = start(tmp_path, "wait")
    wait_for(lambda: (tmp_path / "job.log").exists() or watcher.poll() is not None)
    job = int((tmp_path / "child").read_text())
    engine = int(subprocess.run(["ps", "-o", "ppid=", "-p", str(job)], capture_output=True, text=True).stdout)
    yield tmp_path, watcher, engine, job
    for pid in (watcher.pid, engine):
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    watcher.communicate()


def test_quiet_lines_where_there_is_no_terminal(tmp_path):
    said, _ = (watcher := start(tmp_path, "well")).communicate(timeout=60)
    assert watcher.returncode == 0
    assert re.sub(r"in \d\d:\d\d", "in 00:00", said).splitlines() == [
        "quick: students and teachers to train: 3, reports to write: 1",
        "digits100, resnet20 -> resnet8, seed 0, none: top1 61.20",
        "digits100, resnet20 -> resnet8, seed 0, kd: top1 62.50",
        "report ickd: results/quick/reports/ickd.ipynb",
        "quick: 2 of 3 trained, 1 of 1 reports, in 00:00",
    ]
    assert (tmp_path / "quick/logs/batch.log").read_text() == "Select jobs to execute...\n"
    assert is_free(tmp_path)


def test_a_failure_is_said_with_its_sentence_and_log_and_the_exit_code_is_the_engines(tmp_path):
    said, _ = (watcher := start(tmp_path, "fail")).communicate(timeout=60)
    assert watcher.returncode == 3
    wanted = f"digits100, resnet20 -> resnet8, seed 1: failed, cifar100 is missing (log: {tmp_path}/other.log)"
    assert said.splitlines()[3] == wanted
    assert "1 failed" in said.splitlines()[-1] and "the same command goes on from there" in said.splitlines()[-1]


def test_what_the_engine_refuses_is_one_line(tmp_path):
    said, _ = (watcher := start(tmp_path, "refuse")).communicate(timeout=60)
    assert watcher.returncode == 1
    assert said.startswith("quick: nothing to run: none of METHODS 'cwd' is for the task of PAIRS 'x' (log: ")
    assert len(said.splitlines()) == 1


def test_one_bar_with_the_time_left_on_a_terminal(tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 110))
    watcher = start(tmp_path, "well", stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 4096):
            text += part
    except OSError:  # the terminal's other end is closed
        pass
    os.close(ours)
    assert watcher.wait(timeout=60) == 0
    shown = [part for part in re.split(r"[\r\n]+", text.decode()) if part.startswith("quick: ") and "%" in part]
    assert "looking at what is recorded" in shown[1]
    shown = [part for part in shown if "trained" in part]
    # Of ten epochs two count: the log begins with the ninth, the rest was there before.
    assert re.match(r"quick:  15% \|.*\| 00:\d\d gone, 00:\d\d left, 0 of 3 trained, 0 of 1 reports", shown[0])
    assert any("2 of 3 trained" in part for part in shown)
    assert "digits100, resnet20 -> resnet8, seed 0, kd: top1 62.50" in text.decode()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_batch_takes_its_jobs_with_it(waiting, name):
    folder, watcher, engine, job = waiting
    os.kill(watcher.pid, getattr(signal, name))
    said, _ = watcher.communicate(timeout=30)
    assert watcher.returncode not in (0, None)
    assert "the same command goes on from there" in said.splitlines()[-1] and "Traceback" not in said
    assert not lives(engine) and not lives(job) and is_free(folder)


def test_a_killed_watcher_leaves_neither_engine_nor_job_nor_lock(waiting):
    folder, watcher, engine, job = waiting
    os.kill(engine, signal.SIGSTOP)  # so that what follows cannot be over too soon
    os.kill(watcher.pid, signal.SIGKILL)
    watcher.wait()
    assert not is_free(folder), "the engine still holds the lock"
    os.kill(engine, signal.SIGCONT)
    wait_for(lambda: not lives(engine) and not lives(job))
    assert is_free(folder)


def test_jobs_of_a_killed_engine_end(waiting):
    folder, watcher, engine, job = waiting
    os.kill(engine, signal.SIGKILL)
    said, _ = watcher.communicate(timeout=30)
    assert watcher.returncode == 128 + signal.SIGKILL
    assert not lives(job) and is_free(folder)


ANNOUNCE = """
import os, signal, sys, time
from icckd.runs import batch, plan

signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background of a shell inherit it as ignored

jobs = plan.make_jobs("smoke", results=sys.argv[1], work=sys.argv[1])
plan.prepare_manifests(jobs)
batch.announce(jobs, {"ickd": f"{sys.argv[1]}/report-ickd.json"}, sys.argv[1])
assert batch.PLAN not in os.environ
time.sleep(60)
"""


def test_what_the_graph_announces_and_that_it_ends_with_its_watcher(tmp_path):
    plan, old = tmp_path / "plan.json", tmp_path / "report-ickd.log"
    old.write_text("this job failed\n")
    words = [sys.executable, "-c", ANNOUNCE, str(tmp_path)]
    environment = {**os.environ, "ICCKD_BATCH": str(plan)}
    engine = subprocess.Popen(
        words, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_for(lambda: plan.exists() or engine.poll() is not None, 120)
    tasks = json.loads(plan.read_text())
    assert [(len(task["students"]), task["metric"]) for task in tasks] == [
        (1, "top1"),
        (1, "miou"),
        (4, "top1"),
        (3, "miou"),
        (0, ""),
    ]
    assert all(student["seconds"] > 0 for task in tasks for student in task["students"].values())
    assert tasks[2]["name"] == "digits100@64, resnet20 -> resnet8@0.5, seed 0"
    assert not old.exists(), "a log of an earlier batch says nothing about this one"
    assert engine.poll() is None
    engine.stdin.close()
    assert engine.wait(timeout=30) != 0


def test_a_second_batch_ends_at_once(waiting):
    folder, watcher, engine, job = waiting
    second = start(folder, "well")
    said, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert said == f"icckd: another run is at work on {folder}/quick (process {watcher.pid}); this one ends\n"
    assert lives(engine) and lives(job)
