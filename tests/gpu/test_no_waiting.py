"""No criterion and no step asks the device for a value, shown without one: tensors on the meta device have none.

A step that waits for the device (`.item()`, `bool(tensor)`, `nonzero`, a copy from the host) costs a GPU its queue."""

import copy
from contextlib import nullcontext
from functools import lru_cache

import pytest
import torch
from small_training import PAIRS, ROWS, photos, recipe_for, scenes, settled, students_of
from torch.overrides import TorchFunctionMode

from icckd.losses.criterion import Step
from icckd.models.layers import Outputs
from icckd.training.opening import open_students, parameter_groups
from icckd.training.parallel import Parts
from icckd.training.preparation import prepare_step, stage_optimizer
from icckd.training.step import Pass, Student, Teacher, total_of, train_step
from icckd.training.watching import Watch

CASES = [pytest.param(task, name, id=f"{task}-{name}") for task, names in ROWS.items() for name in names]


class NoCopies(TorchFunctionMode):
    """Refuses what sends values to the device and waits: indices on the host, and tensors made of numbers."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (torch.Tensor.__getitem__, torch.Tensor.__setitem__) and args[0].device.type == "meta":
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            on_host = [
                i for i in index if isinstance(i, list) or isinstance(i, torch.Tensor) and i.device.type == "cpu"
            ]
            assert not on_host, "a list or a tensor of the host as index of a tensor on the device"
        if function in (torch.tensor, torch.as_tensor) and torch.device(kwargs.get("device") or "cpu").type != "cpu":
            raise AssertionError("a tensor made of numbers on the device")
        return function(*args, **kwargs)


def on_meta(x):
    """The same without values."""
    if isinstance(x, Outputs):
        return Outputs(on_meta(x.logits), {name: on_meta(layer) for name, layer in x.layers.items()})
    return x.detach().to("meta").requires_grad_(x.requires_grad)


def opened(task, names):
    """A pass of these methods, ready to train, on the CPU."""
    data = photos(8, evaluation=2) if task == "classification" else scenes(4, evaluation=1)
    students = {name: Student(name, *one) for name, one in students_of(names, data, *PAIRS[task]).items()}
    teacher = settled(PAIRS[task][0], data)
    for module in teacher.modules():  # PyTorch's cumulative average waits, in the copy that is in train mode
        if hasattr(module, "momentum"):
            module.momentum = 0.1
    recipe, cpu = recipe_for(data, precision="float32"), torch.device("cpu")
    group = Pass(data, recipe, 0, Parts(1, cpu), Teacher(teacher, recipe, cpu), students)
    open_students(group, Watch(students, {"teacher": 0.0}, cpu, 1, 1))
    assert not [student.failure for student in students.values() if student.failure]
    return group


@lru_cache(maxsize=None)
def opened_once(task):
    """The same of all methods, which share it."""
    return opened(task, ROWS[task])


@pytest.fixture
def only_meta(monkeypatch):
    """Neither autocast nor random streams are there for the meta device."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *device: False)
    monkeypatch.setattr("icckd.training.step.generator", lambda *names, **options: None)
    monkeypatch.setattr("icckd.training.step.global_stream", lambda *names, **options: nullcontext())


@pytest.mark.parametrize(("task", "name"), CASES)
def test_criteria_never_wait(task, name, only_meta):
    group = opened_once(task)
    _, (batch,) = next(iter(group.batches(0)))
    reader, criterion = group.students[name].reader, copy.deepcopy(group.students[name].criterion).to("meta")
    student = {view: reader(batch.images[view]) for view in criterion.views}
    teacher = group.teacher({view: batch.images[view] for view in criterion.views})
    for once in (nullcontext(), NoCopies()):  # what the first step makes for all may be sent
        given = [{view: on_meta(outputs) for view, outputs in outputs.items()} for outputs in (student, teacher)]
        step = Step(*given, on_meta(batch.labels), on_meta(batch.indices))
        with once:
            terms = criterion(step)
            if terms:  # AB's and FSP's terms belong to their stages
                total_of(terms, name).backward()
            step.student = {view: outputs.detach() for view, outputs in step.student.items()}
            terms = criterion.critic_loss(step)
            if terms:
                total_of(terms, name).backward()


def moved(task, name):
    """(pass, student, batches) of one method, all on the meta device."""
    group, device = opened(task, [name]), torch.device("meta")
    (student,) = group.students.values()
    for module in (student.network, student.criterion, group.teacher.network):
        module.to(device)
    student.optimizer = torch.optim.SGD(parameter_groups(student, group.recipe), lr=0.01)  # fused knows no meta
    student.critic_optimizer = student.criterion.make_critic_optimizer()
    batches = [batch for _, (batch,) in group.batches(0)]
    group.parts.device = group.teacher.device = device
    for batch in batches:
        batch.images = {view: on_meta(x) for view, x in batch.images.items()}
        batch.labels, batch.indices = on_meta(batch.labels), on_meta(batch.indices)
    return group, student, batches


@pytest.mark.parametrize("task, name", [("classification", "kd"), ("segmentation", "holistic")])
def test_steps_never_wait(task, name, only_meta):
    group, student, batches = moved(task, name)
    for step, (batch, once) in enumerate(zip(batches, (nullcontext(), NoCopies()))):
        with once:
            train_step(group, student, [batch], [group.teacher(batch.images)], 0, step)
    assert step == 1 and student.term_sums


@pytest.mark.parametrize(
    "task, name", [*(("classification", name) for name in ("ab", "fsp", "ft")), ("segmentation", "overhaul")]
)
def test_stages_before_distillation_never_wait(task, name, only_meta):
    group, student, batches = moved(task, name)
    for stage in student.criterion.preparations():
        optimizer = stage_optimizer(group, student, stage, [])
        for step, (batch, once) in enumerate(zip(batches, (nullcontext(), NoCopies()))):
            with once:
                prepare_step(group, student, stage, optimizer, batch, 0, step)


@pytest.mark.parametrize(
    "waits",
    [
        lambda x: x.sum().item(),
        lambda x: 1 if x.isfinite().all() else 0,
        lambda x: x.cpu(),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x[[0, 1]],
        lambda x: x[torch.tensor([0, 1])],
        lambda x: x + torch.tensor([1.0, 2.0], device=x.device),
        lambda x: x.tolist(),
    ],
)
def test_waiting_is_noticed(waits):
    with pytest.raises((AssertionError, RuntimeError, NotImplementedError)), NoCopies():
        waits(torch.empty(2, device="meta"))
