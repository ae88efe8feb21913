"""A GPU against the CPU; without one, one sentence. `make test-gpu` runs it.

`ICCKD_TEST_DEVICE=cpu` tries the tests themselves: the reference then convolves in another way."""

import os
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from unittest.mock import patch

import pytest
import torch
from small_training import PAIRS, ROWS, digests, photos, plan, recipe_for, scenes, settled, students_of
from torch import nn

from icckd.core.randomness import generator
from icckd.losses.classification.crd import Negatives
from icckd.losses.classification.cross_entropy import CrossEntropy
from icckd.training.trainer import fit

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # equal sums from run to run; read when CUDA starts
DEVICE = torch.device(os.environ.get("ICCKD_TEST_DEVICE", "cuda"))
if DEVICE.type == "cuda" and not torch.cuda.is_available():
    pytest.skip("PyTorch sees no GPU here, so there is nothing to compare with the CPU", allow_module_level=True)

CASES = [pytest.param(task, name, id=f"{task}-{name}") for task, names in ROWS.items() for name in names]


def small(task, methods, samples=None):
    """(data, teacher, students) of a task; without dropout, whose draws differ from device to device."""
    data = photos(samples or 8, evaluation=4) if task == "classification" else scenes(samples or 4, evaluation=2)
    teacher, students = settled(PAIRS[task][0], data), students_of(methods, data, *PAIRS[task])
    for network in (teacher, *(network for network, _ in students.values())):
        for module in network.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.p = 0.0
            if hasattr(module, "momentum"):  # PyTorch's cumulative average waits for the device
                module.momentum = 0.1
    return data, teacher, students


def train(data, teacher, students, recipe, device=DEVICE, **options):
    """`fit` without words."""
    return fit(data, students, recipe, teacher, device=device, report=None, progress=False, **options)


@pytest.fixture(autouse=True)
def full_precision():
    """Convolutions in float32 proper, not in the ten bits that a GPU takes by default."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before
    if DEVICE.type == "cuda":
        torch.cuda.set_sync_debug_mode("default")  # a step that failed may have left it on


@pytest.fixture
def deterministic():
    """The same sums at every run. What has no such kernel only warns, and is not among the methods tested for it."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@lru_cache(maxsize=None)
def three_steps(task, on_device):
    """(weights before, students after three steps) of all methods. Criteria draw on the host, alike for any device."""
    data, teacher, students = small(task, ROWS[task])
    before = {name: {k: x.clone() for k, x in net.state_dict().items()} for name, (net, _) in students.items()}
    recipe = recipe_for(data, epochs=3, batch_size=data.train_size, precision="float32", learning_rate=1e-3)
    same = on_device or DEVICE.type != "cpu"
    with (
        patch("icckd.training.step.generator", lambda *names, device: generator(*names)),
        nullcontext() if same else torch.backends.mkldnn.flags(enabled=False),
    ):
        return before, train(data, teacher, students, recipe, DEVICE if on_device else "cpu")


def difference(before, wanted, found):
    """The length of the difference of all parameters, relative to that of their change."""
    parameters = [dict(network.named_parameters()) for network in (wanted, found)]
    wanted, found = ({name: p.detach().cpu() for name, p in each.items()} for each in parameters)
    length = lambda a, b: torch.cat([(a[name] - b[name]).flatten() for name in wanted]).norm()
    return float(length(wanted, found) / length(wanted, before))


# Rounding grows: another way to convolve on one CPU gives up to 2e-5, 4e-4 and 2e-2, the last where a ReLU turns over.
FIRST_TERMS, LATER_TERMS, WEIGHTS = 1e-4, 2e-3, 5e-2


@pytest.mark.parametrize(("task", "name"), CASES)
def test_three_steps_agree_with_the_cpu(task, name):
    """Terms of the first step and of the later ones, relative; weights, relative to their change."""
    before, wanted = three_steps(task, False)
    _, found = three_steps(task, True)
    wanted, found = wanted[name], found[name]
    assert wanted.failure is None and found.failure is None, found.failure
    for step, (a, b) in enumerate(zip(wanted.history, found.history, strict=True)):
        tolerance = LATER_TERMS if step else FIRST_TERMS
        assert b["terms"] == pytest.approx(a["terms"], rel=tolerance, abs=1e-7), f"step {step}"
    assert difference(before[name], wanted.network, found.network) <= WEIGHTS


@contextmanager
def no_waiting():
    """Inside, an operation that makes the host wait for the GPU is an error."""
    if DEVICE.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if DEVICE.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")


class NoWaiting:
    """A data set whose every batch but the first of an epoch is made, and trained on, without waiting."""

    def __init__(self, data):
        self.data, self.steps = data, 0

    def __getattr__(self, name):
        return getattr(self.data, name)

    def train_batches(self, *arguments, **options):
        batches = self.data.train_batches(*arguments, **options)
        yield next(batches)
        with no_waiting():
            for batch in batches:
                self.steps += 1
                yield batch


class Waits(CrossEntropy):
    """A criterion that reads its loss."""

    def forward(self, step):
        terms = super().forward(step)
        return terms if float(terms["ce"]) else {}


@pytest.mark.parametrize("task", ROWS)
def test_no_step_waits(task):
    """The first step may: it checks values, and sends constants."""
    methods = ROWS[task]
    data, teacher, students = small(task, methods, samples=12 if task == "classification" else 6)
    data = NoWaiting(data)
    trained = train(data, teacher, students, recipe_for(data, batch_size=data.train_size // 3))
    assert data.steps == 2
    assert {name: student.failure for name, student in trained.items()} == dict.fromkeys(methods)


@pytest.mark.parametrize("task", ROWS)
def test_no_step_of_a_stage_before_distillation_waits(task):
    names = {"classification": ["ab", "fsp", "ft"], "segmentation": ["overhaul"]}[task]
    option = "preparation_fraction" if task == "classification" else "connectors_first"
    methods = [f"{name}:{option}=1" for name in names]
    data, teacher, students = small(task, methods, samples=12 if task == "classification" else 6)
    data = NoWaiting(data)
    trained = train(data, teacher, students, recipe_for(data, batch_size=data.train_size // 3))
    assert data.steps == 2 * len(methods) + 2
    assert {name: student.failure for name, student in trained.items()} == dict.fromkeys(methods)


@pytest.mark.skipif(DEVICE.type == "cpu", reason="on the CPU nothing waits")
def test_waiting_is_noticed():
    data, _, students = small("classification", ["none", "kd"], samples=12)
    students = {"waits": (students["none"][0], Waits()), "not": (students["kd"][0], CrossEntropy())}
    data = NoWaiting(data)
    trained = train(data, None, students, recipe_for(data, batch_size=4))
    assert "synchroniz" in trained["waits"].failure["error"] and trained["waits"].failure["step"] == 1
    assert trained["not"].failure is None


def test_companions_change_nothing(deterministic):
    """All at once, and one after the other: equal to the bit."""
    methods = ["none", "kd", "sp", "crd", "ickd_c+kd"]
    found = []
    for size in (None, 1, 2):
        data, teacher, students = small("classification", methods)
        found.append(digests(train(data, teacher, students, recipe_for(data, epochs=2), students_per_pass=size)))
    assert found[0] == found[1] == found[2]


def checkpoints_in(folder):
    """After every step."""
    return {"checkpoint_folder": folder, "checkpoint_minutes": 0.0}


class Killed(BaseException):
    """Ends a run where it stands."""


class KilledAt:
    """A data set that ends the run after so many batches."""

    def __init__(self, data, batches):
        self.data, self.left = data, batches

    def __getattr__(self, name):
        return getattr(self.data, name)

    def train_batches(self, *arguments, **options):
        for batch in self.data.train_batches(*arguments, **options):
            self.left -= 1
            if self.left < 0:
                raise Killed
            yield batch


def test_a_killed_run_goes_on(deterministic, tmp_path):
    """Memories, a private teacher, stages, two views, dropout; killed twice in the middle of an epoch. To the bit."""
    data, teacher, students, recipe = plan("classification")
    wanted = digests(train(data, teacher, students, recipe))
    for batches in (10, 3):  # a look at one batch, two each for the stages of AB and FT, then steps
        data, teacher, students, recipe = plan("classification")
        with pytest.raises(Killed):
            train(KilledAt(data, batches), teacher, students, recipe, **checkpoints_in(tmp_path))
    data, teacher, students, recipe = plan("classification")
    rest = KilledAt(data, 1 + 12 - 7)  # a run from the beginning would need more
    assert digests(train(rest, teacher, students, recipe, **checkpoints_in(tmp_path))) == wanted


class Precision(CrossEntropy):
    """Notes in which precision logits come."""

    seen = None

    def forward(self, step):
        self.seen = step.student["weak"].logits.dtype
        return super().forward(step)


def test_bfloat16():
    """Passes in bfloat16, weights and losses in float32, and the terms of the first step near those in float32."""
    methods, found = ["kd", "at", "ickd_c+kd", "fitnet"], {}
    for precision in ("float32", "bfloat16"):
        data, teacher, students = small("classification", [*methods, "none"])
        students["precision"] = (students.pop("none")[0], Precision())
        recipe = recipe_for(data, epochs=3, batch_size=data.train_size, precision=precision)
        found[precision] = train(data, teacher, students, recipe)
        assert found[precision]["precision"].criterion.seen == getattr(torch, precision)
    for name in methods:
        single, half = (found[precision][name] for precision in ("float32", "bfloat16"))
        assert half.failure is None, half.failure
        assert {p.dtype for p in half.network.parameters()} == {torch.float32}
        assert half.history[0]["terms"] == pytest.approx(single.history[0]["terms"], rel=0.1, abs=1e-3), name
        assert half.history[0]["terms"] != single.history[0]["terms"], name


def test_negatives_drawn_on_the_device():
    """Images of other classes, none twice."""
    labels = torch.arange(40) % 4
    negatives = Negatives(labels, most=20).to(DEVICE)
    drawn = negatives(labels[:8].to(DEVICE), torch.Generator(DEVICE).manual_seed(0)).cpu()
    assert drawn.shape == (8, 20) and all(len(set(row.tolist())) == 20 for row in drawn)
    assert not (labels[drawn] == labels[:8, None]).any()
