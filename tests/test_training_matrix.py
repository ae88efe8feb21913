"""Every criterion trains on every kind of pair: finite, the student moves, the teacher does not, and companions change nothing."""
import copy

import pytest
import torch
from small_training import digests, photos, recipe_for, scenes, settled, students_of

from icckd.losses.methods import METHODS
from icckd.training.trainer import fit

# The twelve pairs of the two papers' CIFAR-100 tables, and the kind that only other tables have.
PAIRS = ["resnet56 resnet20", "resnet110 resnet20", "resnet110 resnet32", "resnet32x4 resnet8x4", "wrn_40_2 wrn_16_2", "wrn_40_2 wrn_40_1", "vgg13 vgg8",
         "vgg13 mobilenetv2", "resnet50 mobilenetv2", "resnet50 vgg8", "resnet32x4 shufflenetv1", "resnet32x4 shufflenetv2", "wrn_40_2 shufflenetv1"]
SEGMENTATION_PAIRS = ["pspnet_r101 pspnet_r18@0.25", "pspnet_r18 pspnet_mbv2", "pspnet_r18 deeplab_r18_half", "pspnet_r18 deeplab_r18@0.25", "pspnet_r18 deeplab_mbv2",
                      "deeplabv3plus_r18 deeplabv3plus_mbv2"]


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
    """Two steps of all methods on one pair, watched."""
    teacher_name, student_name = pair.split()
    teacher, students = settled(teacher_name, data), students_of(methods, data, teacher_name, student_name)
    start = {name: x.clone() for name, x in next(iter(students.values()))[0].state_dict().items()}
    before = {name: x.clone() for name, x in teacher.state_dict().items()}
    watch = Watch(students)
    trained = fit(data, students, recipe_for(data.task, batch_size=2 if data.task == "segmentation" else 4), teacher=teacher, report=None, progress=False)
    assert all(torch.equal(x, before[name]) for name, x in teacher.state_dict().items()) and not teacher.training
    assert all(p.grad is None for p in teacher.parameters())
    assert watch.leaves and all(leaf.grad is None for leaf in watch.leaves), "a gradient reached the teacher's outputs"
    for name, student in trained.items():
        if student.failure is None:
            terms = student.history[-1]["terms"]
            assert terms and all(abs(value) < float("inf") for value in terms.values()), (name, terms)
            moved = [n for n, x in student.network.state_dict().items() if not torch.equal(x, start[n])]
            assert moved and all(torch.isfinite(x).all() for x in student.network.state_dict().values()), name
    return trained


def failures(trained):
    return {name: student.failure["error"] for name, student in trained.items() if student.failure}


@pytest.mark.parametrize("pair", PAIRS)
def test_classification(pair):
    trained = train(photos(), pair, METHODS["classification"])
    failed = failures(trained)
    print(failed)
    assert not failed


@pytest.mark.parametrize("pair", SEGMENTATION_PAIRS)
def test_segmentation(pair):
    failed = failures(train(scenes(), pair, METHODS["segmentation"]))
    assert not failed
