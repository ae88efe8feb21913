"""What the training tests train: a few random images, and students of every method. As a program: see `main`."""

import copy
import json
import sys
from pathlib import Path

import torch

from icckd.core.files import digest_tensors
from icckd.core.randomness import global_stream
from icckd.data.dataset import InMemoryClassification
from icckd.data.segmentation import InMemorySegmentation
from icckd.losses.methods import METHODS, Context, create_criterion
from icckd.runs.run import create_network
from icckd.training.recipe import shortened
from icckd.training.recipes import RECIPES
from icckd.training.trainer import fit

CLASSES = {"classification": 10, "segmentation": 6}


def photos(samples=8, size=32, evaluation=4):
    """Random images of ten classes; the class shifts the colour."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(samples) % 10
    images = torch.randint(0, 156, (samples, size, size, 3), generator=draw) + 10 * labels[:, None, None, None]
    images = images.to(torch.uint8)
    return InMemoryClassification(
        "photos",
        images,
        labels,
        images[:evaluation],
        labels[:evaluation],
        [str(c) for c in range(10)],
        (0.4,) * 3,
        (0.2,) * 3,
        {"padding": 4, "flip": True},
    )


def scenes(samples=4, size=64, evaluation=2):
    """Random scenes in stripes: image 0 is ignored altogether, the others partly, and class 5 is absent everywhere."""
    draw = torch.Generator().manual_seed(0)
    labels = (torch.arange(size) // 8 % 5).expand(samples, size, size).clone()
    labels[:, : size // 5] = 255
    labels[0] = 255
    images = torch.randint(0, 106, (samples, size, size, 3), generator=draw) + 30 * labels.clamp(max=5)[..., None]
    return InMemorySegmentation(
        "scenes",
        images.to(torch.uint8),
        labels.to(torch.uint8),
        images[-evaluation:].to(torch.uint8),
        labels[-evaluation:].to(torch.uint8),
        [str(c) for c in range(6)],
        torch.zeros(6, 3),
        (0.4,) * 3,
        (0.2,) * 3,
        {"crop": size, "scale": (1.0, 1.0), "flip": True, "padding": 0},
    )


# A small pair of each task, and the rows of the method table that it can train.
PAIRS = {"classification": ("resnet14", "resnet8"), "segmentation": ("pspnet_r18@0.25", "pspnet_r18@0.125")}
NEEDS_LARGE_MAPS = ("ickd_s.grid16", "ickd_s.grid32")
ROWS = {task: [name for name in table if name not in NEEDS_LARGE_MAPS] for task, table in METHODS.items()}


def network(name, task, seed=0):
    """A network with seeded weights."""
    with global_stream(seed, "initialisation", name):
        return create_network(name, CLASSES[task])


def settled(name, data):
    """A teacher: random weights, and batch norm that has seen the images, so that its maps have a usual size."""
    teacher = network(name, data.task, seed=1)
    for module in teacher.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the mean over what was seen
    with torch.no_grad():
        teacher.train()(next(iter(data.train_batches(min(8, data.train_size), 0, 0))).images["weak"])
    return teacher.eval()


def recipe_for(data, **changes):
    """The quick recipe of the data's task, two steps long."""
    return shortened(
        RECIPES[f"quick_{data.task}"],
        **{"epochs": 1, "batch_size": data.train_size // 2, "learning_rate": 0.01, **changes},
    )


def students_of(methods, data, teacher, student):
    """name -> (network, criterion), all from the same weights."""
    first = network(student, data.task)
    context = Context(
        task=data.task,
        dataset=data.name,
        teacher=teacher,
        student=student,
        ignore_index=data.ignore_index,
        auxiliary="aux_logits" in first.layers,
    )
    return {name: (copy.deepcopy(first), create_criterion(name, context)) for name in methods}


def digests(students):
    """What must agree bit for bit: weights, what the criterion learnt, metrics and losses."""
    return {
        name: {
            "weights": digest_tensors(s.network.state_dict()),
            "criterion": digest_tensors(s.criterion.state_dict()),
            "history": s.history,
            "failure": s.failure,
        }
        for name, s in students.items()
    }


def plan(name):
    """(data, teacher, students, recipe) of a plan of the kill and process tests, the same in every process."""
    if name == "classification":  # memory, private teacher, preparation stages, strong view; every network with dropout
        data, teacher, student = photos(16), "resnet14", "resnet8"
        students = students_of(["kd", "crd", "ab", "ft", "ofd.train_mode_teacher", "mlld"], data, teacher, student)
        for net, _ in students.values():
            net.fc = torch.nn.Sequential(torch.nn.Dropout(0.2), net.fc)
        recipe = recipe_for(data, epochs=3, batch_size=4)
    elif name == "segmentation":  # critic, memory of pixels, preparation stage; the heads hold dropout
        data, teacher, student = scenes(6), "pspnet_r18@0.25", "pspnet_r18@0.125"
        students = students_of(["none", "skds", "cirkd", "overhaul"], data, teacher, student)
        recipe = recipe_for(data, epochs=3, batch_size=2)
    elif name == "classification in parts":
        data, teacher, student = photos(22), "resnet14", "resnet8"  # the last batch has 6 samples
        methods = ["none", "kd", "ickd_c", "sp", "rkd", "pkt", "cc", "dist", "mlld", "crd", "ft"]
        students, recipe = students_of(methods, data, teacher, student), recipe_for(data, epochs=2, batch_size=8)
    elif name == "segmentation in parts":
        data, teacher, student = scenes(4), "pspnet_r18@0.25", "pspnet_r18@0.125"
        students, recipe = (
            students_of(["none", "cirkd", "skds"], data, teacher, student),
            recipe_for(data, epochs=2, batch_size=4),
        )
    else:
        raise ValueError(f"plan: unknown {name!r}")
    return data, settled(teacher, data), students, recipe


def train_plan(name, **options):
    """Digests of the trained plan."""
    data, teacher, students, recipe = plan(name)
    return digests(fit(data, students, recipe, teacher=teacher, report=None, progress=False, **options))


def main(name, checkpoints, result):
    """Trains a plan with a checkpoint after every step, and writes what came out."""
    torch.set_num_threads(1)
    found = train_plan(name, checkpoint_folder=checkpoints, checkpoint_minutes=0.0)
    Path(result).write_text(json.dumps(found))


def main_of_many(result):
    """Started by `accelerate launch`: trains the two plans for several processes; each writes its end."""
    from accelerate import Accelerator  # slow to import, and only needed here

    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    found = {
        name: train_plan(name, accelerator=accelerator) for name in ("classification in parts", "segmentation in parts")
    }
    Path(f"{result}-{accelerator.process_index}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    (main if len(sys.argv) > 2 else main_of_many)(*sys.argv[1:])
