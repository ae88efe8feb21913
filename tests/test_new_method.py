"""A new method is a notebook and a row: on a copy of the tree, the template under another name trains like any."""

import json
import re
import sys
from pathlib import Path

from conftest import ROOT, command
from run_all import copy_of_tree

SCRIPT = """
import json, sys
from pathlib import Path

import icckd
from icckd.losses.methods import GROUPS, Context, default_options, find_method
from icckd.runs.method import checks_of, rows_of, score_table, train_beside

assert Path(icckd.__file__).is_relative_to(Path.cwd()), "the copy is what is tried"
rows = rows_of("my_method:weight=0.3")
assert list(rows) == ["classification"] and rows["classification"].group == GROUPS[1]
assert default_options("my_method", Context()) == {"weight": 0.1, "ce.weight": 1.0}
try:
    find_method("my_method:temperature=4", "classification")
except ValueError as error:
    refused = str(error)
small = {"train_limit": 200, "held_out": 1, "batch_size": 50, "epochs": 1, "teacher_epochs": 1}
small |= {"results": "out", "work": "out"}
run, records = train_beside("my_method:weight=0.3", "classification", print, **small)
table = score_table(records, "classification")
terms = records["my_method:weight=0.3"]["history"][-1]["terms"]
found = {"refused": refused, "methods": list(table.index), "terms": terms, "title": rows["classification"].title}
found |= {"record": run.student_name("my_method:weight=0.3"), "checks": list(checks_of(rows))}
Path("found.json").write_text(json.dumps(found))
"""


def add_row(folder):
    """Adds the import and the row as the tutorial shows them."""
    tutorial = json.loads((folder / "nbs/tutorials/add_a_method.ipynb").read_text(encoding="utf-8"))
    shown = "\n".join("".join(c["source"]) for c in tutorial["cells"] if c["cell_type"] == "markdown")
    line = re.search(r"```python\n(from icckd\S+ import .*)\n```", shown)[1]
    row = re.search(r"```python\n(Method\(.*\),)\n```", shown)[1]
    path = folder / "nbs/losses/methods.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if source.startswith("#| export") and "import NormKD\n" in source:
            source += f"\n{line}"
        if source.startswith("#| export\n_NEWER = ["):
            source = f"{source.removesuffix(']')}    {row}\n]"
        cell["source"] = source.splitlines(keepends=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def test_the_template_and_a_row_are_a_method(tmp_path):
    copy_of_tree(tmp_path)
    tried = lambda *words: command(*words, cwd=tmp_path, limit=120)
    begin = "from icckd.runs.method import main; main(['my_method', '--new']); main(['my_method'])"
    made = tried(sys.executable, "-c", begin)
    assert made.stdout.startswith("nbs/losses/classification/my_method.ipynb is made"), made.stderr
    assert re.fullmatch(r"make method: method 'my_method': nbs/\S+ is there, but no row of the table .*\n", made.stderr)

    add_row(tmp_path)
    exported = tried(Path(sys.executable).with_name("nbdev_export"))
    assert exported.returncode == 0, exported.stderr
    assert not (ROOT / "icckd/losses/classification/my_method.py").exists()
    done = tried(sys.executable, "-c", SCRIPT)
    assert done.returncode == 0, done.stderr[-3000:]

    found = json.loads((tmp_path / "found.json").read_text())
    assert found["methods"] == ["teacher", "none", "kd", "my_method:weight=0.3"]
    assert list(found["terms"]) == ["ce", "my_method"] and all(value > 0 for value in found["terms"].values())
    assert "no option 'temperature'; options of my_method: weight=0.1, ce.weight=1" in found["refused"]
    assert "--my_method~weight=0.3--" in found["record"] and found["title"].startswith("my method")
    assert "tests of nbs/losses/classification/my_method.ipynb" in found["checks"]
