"""Every parameter of the run notebooks: what can change a number is in the key; what is not says why it cannot."""

import pytest

from icckd.runs.keys import wanted_key
from icckd.runs.parameters import PAIR, TEACHER
from icckd.runs.run import open_run

START = {"train_limit": 200, "epochs": 2, "teacher_epochs": 2, "device": "cpu"}
# Another value of each parameter; a name that is missing here fails the test.
OTHER = {
    "profile": "another",
    "train_limit": 300,
    "teacher_recipe": "short_classification",
    "teacher_epochs": 3,
    "batch_size": 48,
    "evaluate_every": 2,
    "threads": 2,
    "retrain_stale": 0,
    "results": "{folder}/results",
    "work": "{folder}/work",
    "manifest": "{folder}/manifest.json",
    "held_out": 1,
    "teacher": "resnet14",
    "teacher_seed": 1,
    "paper_pair": "some-pair",
    "data_root": "{folder}",
    "methods": "kd:temperature=3",
    "recipe": "short_classification",
    "epochs": 3,
    "seed": 1,
    "students_per_pass": 1,
    "student": "resnet14",
}
BY_OTHER_MEANS = {
    "dataset": "by its digest, and by name",
    "teacher_checkpoint": "by the digest of the teacher's weights",
    "device": "by its kind, see `test_the_kind_of_device_is_in_the_key`",
    "initialisation": "by value; ImageNet weights cannot be had here",
}
OF_THE_TEACHERS_WEIGHTS = {"teacher_recipe", "teacher_epochs"}  # whose digest is in a student's key


def keys(**changes):
    """(key of the teacher, key of a student whose teacher has known weights)."""
    run = open_run("classification", **{"methods": "kd", **START, **changes})
    return wanted_key(run, "teacher")[0], wanted_key(run, run.methods[0], "weights of the teacher")[0]


@pytest.fixture(scope="module")
def before():
    return keys()


def test_every_parameter_is_tried():
    assert set(OTHER) | set(BY_OTHER_MEANS) == set(PAIR) == set(PAIR) | set(TEACHER)


@pytest.mark.xdist_group("parameters")
@pytest.mark.parametrize("name", OTHER)
def test_what_can_change_a_number_is_in_the_key(name, before, tmp_path):
    value = OTHER[name]
    value = value.format(folder=tmp_path) if isinstance(value, str) else value
    teacher, student = keys(**{name: value})
    parameter = PAIR[name]
    assert (teacher != before[0]) == (parameter.of == "teacher" and not parameter.free)
    assert (student != before[1]) == (not parameter.free and name not in OF_THE_TEACHERS_WEIGHTS)


@pytest.mark.parametrize("name", ["dataset", "initialisation"])
def test_values_that_cannot_be_tried_here_are_in_the_key_by_value(name):
    assert PAIR[name].enters == "value" and not PAIR[name].free and PAIR[name].of == "teacher"


def test_the_kind_of_device_is_in_the_key(monkeypatch, before):
    """A GPU is pretended: only the key is made, nothing runs."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    on_gpu = keys(device="cuda")
    assert on_gpu[0] != before[0] and on_gpu[1] != before[1]
    assert keys(device="cuda:1") == on_gpu


def test_a_teachers_weights_are_in_the_students_key(before):
    run = open_run("classification", **{"methods": "kd", **START})
    assert wanted_key(run, "kd", "other weights")[0] != before[1]
