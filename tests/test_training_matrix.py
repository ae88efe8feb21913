"""Every criterion trains on every kind of pair: finite, the student moves, the teacher not, companions nothing."""

import copy

import pytest
import torch
from small_training import NEEDS_LARGE_MAPS, ROWS, digests, photos, recipe_for, scenes, settled, students_of

from icckd.losses.methods import METHODS, Context, create_criterion
from icckd.training.trainer import fit

# The twelve pairs of the two papers' CIFAR-100 tables, and whether FSP applies (it needs equal channels).
PAIRS = {
    "resnet56 resnet20": True,
    "resnet110 resnet20": True,
    "resnet110 resnet32": True,
    "resnet32x4 resnet8x4": True,
    "wrn_40_2 wrn_16_2": True,
    "wrn_40_2 wrn_40_1": False,
    "vgg13 vgg8": True,
    "vgg13 mobilenetv2": False,
    "resnet50 mobilenetv2": False,
    "resnet32x4 shufflenetv1": False,
    "resnet32x4 shufflenetv2": False,
    "wrn_40_2 shufflenetv1": False,
}
# Every kind of segmentation student, on narrow teachers; the first pair is deep.
SCENE_PAIRS = [
    "pspnet_r101@0.25 pspnet_r18@0.25",
    "pspnet_r18@0.25 pspnet_mbv2@0.5",
    "pspnet_r18@0.25 deeplab_r18_half",
    "pspnet_r18@0.25 deeplab_r18@0.25",
    "pspnet_r18@0.25 deeplab_mbv2@0.5",
    "deeplabv3plus_r18@0.25 deeplabv3plus_mbv2@0.5",
]
SUMS_WITH_CRITIC = ("skds", "skdd", "ifvd")  # their parts are methods of the table, too
WHOLE = ("resnet56 resnet20", "resnet32x4 shufflenetv1", SCENE_PAIRS[0])  # pairs on which the whole table trains


def of_table(data, pair, rest=False):
    """The methods for a pair: all, or those to which the pair makes a difference; with `rest` the others."""
    pair_matters = lambda name: "." not in name and name not in SUMS_WITH_CRITIC and reads_layers(name, data.task)
    return [name for name in METHODS[data.task] if (pair in WHOLE or pair_matters(name)) != rest]


def reads_layers(name, task):
    """Whether a method reads more than logits; to the others the kind of pair means nothing."""
    return name == "none" or bool(set(create_criterion(name, Context(task)).student_layers) - {"logits"})


class Watch:
    """Gives each criterion teacher outputs that could take a gradient, and keeps them: none may have received one."""

    def __init__(self, students):
        self.leaves = []
        for _, criterion in students.values():
            criterion.register_forward_pre_hook(self.replace)

    def replace(self, criterion, arguments):
        (step,) = arguments
        step.teacher = {view: copy.copy(outputs) for view, outputs in step.teacher.items()}
        for outputs in step.teacher.values():
            outputs.logits = self.leaf(outputs.logits)
            outputs.layers = {name: self.leaf(x) for name, x in outputs.layers.items()}

    def leaf(self, x):
        self.leaves.append(x.detach().clone().requires_grad_())
        return self.leaves[-1]


def train(data, pair, methods):
    """A step of all methods on one pair, watched. Returns what failed, by method."""
    teacher_name, student_name = pair.split()
    teacher, students = settled(teacher_name, data), students_of(methods, data, teacher_name, student_name)
    start, before = (
        {name: x.clone() for name, x in net.state_dict().items()} for net in (next(iter(students.values()))[0], teacher)
    )
    watch = Watch(students)
    recipe = recipe_for(
        data, batch_size=data.train_size, learning_rate=1e-3
    )  # networks with random weights stay finite
    trained = fit(data, students, recipe, teacher=teacher, report=None, progress=False)
    assert all(torch.equal(x, before[name]) for name, x in teacher.state_dict().items()) and not teacher.training
    assert all(p.grad is None for p in teacher.parameters())
    assert watch.leaves and all(leaf.grad is None for leaf in watch.leaves), "a gradient reached the teacher's outputs"
    for name, student in trained.items():
        if student.failure is None:
            terms, weights = student.history[-1]["terms"], student.network.state_dict()
            assert terms and all(abs(value) < float("inf") for value in terms.values()), (name, terms)
            assert all(torch.isfinite(x).all() for x in weights.values()), name
            assert any(not torch.equal(x, start[n]) for n, x in student.network.named_parameters()), (
                f"{name}: the student did not change"
            )
    return {name: student.failure["error"] for name, student in trained.items() if student.failure}


@pytest.mark.parametrize("pair", PAIRS)
def test_classification(pair):
    data = photos(4, evaluation=2)
    failed = train(data, pair, of_table(data, pair))
    assert set(failed) == (set() if PAIRS[pair] else {"fsp"})
    assert PAIRS[pair] or "FSP needs equal channels: student [" in failed["fsp"]


@pytest.mark.parametrize("pair", SCENE_PAIRS)
def test_segmentation(pair):
    data = scenes(2, evaluation=1)
    failed = train(data, pair, of_table(data, pair))
    assert set(failed) == (set(NEEDS_LARGE_MAPS) if pair in WHOLE else set())  # 64 pixels make maps of 9 x 9
    assert all("grid: wanted at most as many cells as positions" in message for message in failed.values())


@pytest.mark.slow
@pytest.mark.parametrize("pair", [pair for pair in [*PAIRS, "resnet50 vgg8", *SCENE_PAIRS] if pair not in WHOLE])
def test_rest_of_the_table(pair):
    data = scenes(2, evaluation=1) if pair in SCENE_PAIRS else photos(4, evaluation=2)
    methods = [
        name for name in METHODS[data.task] if pair == "resnet50 vgg8" or name in of_table(data, pair, rest=True)
    ]
    assert set(train(data, pair, methods)) <= {"fsp", *NEEDS_LARGE_MAPS}


def test_fine_grids():
    assert train(scenes(size=256), "pspnet_r18@0.25 pspnet_r18@0.125", NEEDS_LARGE_MAPS) == {}


@pytest.mark.parametrize("task", METHODS)
def test_companions_change_nothing(task):
    """Alone and together, bit for bit: weights, adapters, memories, losses and scores."""
    data, (teacher_name, student_name) = (
        (photos(), ("resnet14", "resnet8"))
        if task == "classification"
        else (scenes(), ("pspnet_r18@0.25", "pspnet_r18@0.125"))
    )
    methods, teacher = ROWS[task], settled(teacher_name, data)

    def distil(*names):
        return digests(
            fit(
                data,
                students_of(names, data, teacher_name, student_name),
                recipe_for(data),
                teacher=teacher,
                report=None,
                progress=False,
            )
        )

    together = distil(*methods)
    assert all(x["failure"] is None for x in together.values())
    differing = [name for name in methods if distil(name)[name] != together[name]]
    assert not differing
    assert len({x["weights"] for x in together.values()}) >= len(methods) - 2, (
        "methods differ (AB and FSP only where their first stage moved the student)"
    )
