"""`icckd.distil` on networks of torchvision, timm and segmentation-models-pytorch, and what comes out of it."""

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import torchvision
from conftest import ROOT, command, papermill
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import icckd
from icckd.distillation.custom import open_custom
from icckd.distillation.trial import try_run
from icckd.losses.methods import METHODS
from icckd.runs.parameters import RunError

pytestmark = pytest.mark.filterwarnings("ignore")
quiet = {"say": lambda line: None, "device": "cpu"}


def write_pictures(folder, form="classes", counts={"train": 8, "val": 4}):
    """Red, green and blue squares: a folder a colour, pairs of picture and mask, or pictures alone."""
    draw = np.random.default_rng(0)
    for split, count in counts.items():
        for channel, name in enumerate(("red", "green", "blue")):
            for k in range(count):
                pixels, mask = draw.integers(0, 100, (40, 48, 3)).astype(np.uint8), np.zeros((40, 48), np.uint8)
                pixels[8:32, 16:40, channel], mask[8:32, 16:40] = 255, channel + 1
                inside = {"classes": name, "masks": "images", "pictures": ""}[form]
                path = Path(folder, split, inside, f"{name}{k}.png")
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
                if form == "masks":
                    (Path(folder, split) / "masks").mkdir(exist_ok=True)
                    Image.fromarray(mask).save(Path(folder, split, "masks", path.name))
    return Path(folder)


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("data") / "colours")


@pytest.fixture(scope="module")
def roads(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("data") / "roads", "masks")


CLASSIFIERS = (
    "torchvision:resnet18",
    "torchvision:mobilenet_v3_small",
    "torchvision:efficientnet_b0",
    "torchvision:convnext_tiny",
    "torchvision:vit_b_16",
    "timm:resnet18",
    "timm:convnext_atto",
    "timm:vit_tiny_patch16_224",
    "timm:mobilenetv3_small_050",
)


def unet(num_classes):
    """A network of segmentation-models-pytorch."""
    import segmentation_models_pytorch

    return segmentation_models_pytorch.Unet("resnet18", encoder_weights=None, classes=num_classes)


SEGMENTERS = ("torchvision:deeplabv3_mobilenet_v3_large", "torchvision:lraspp_mobilenet_v3_large", unet)
REFUSALS = re.compile(  # the only reasons that a method may have
    r"as many stages|at most as many cells|equal channels|equal numbers of layers|margins='measured'|margins=measured|first view|second, strong view|batch norm of a 1 x 1 map"
    r"|wanted a batch norm that feeds"
)


def runs_or_refuses(data, teacher, student, task, out, methods=None, **options):
    """Distils with every method of a task that can be tried; the others must say why in one sentence."""
    options = {"image_size": 64, "epochs": 1, "batch_size": 6, **quiet, **options}
    objects = {name: x for name, x in {"teacher": teacher, "student": student}.items() if not isinstance(x, str)}
    texts = {name: x for name, x in {"teacher": teacher, "student": student}.items() if isinstance(x, str)}
    texts |= {"data": str(data), "out": str(out), **{k: v for k, v in options.items() if k != "say"}}
    refused, fits = {}, []
    for method in methods or METHODS[task]:
        try:
            try_run(open_custom(objects, method=method, teacher_epochs=1, **texts))
            fits.append(method)
        except RunError as error:
            refused[method] = str(error)
    for method, sentence in refused.items():
        assert REFUSALS.search(sentence) and "\n" not in sentence, (method, sentence)
    result = icckd.distil(
        data, teacher=teacher, student=student, method=fits, out=out, teacher_epochs=1, students_per_pass=4, **options
    )
    failed = {m: r["error"] for m, r in result.records[0].items() if r["status"] != "ok"}
    assert not failed, failed
    return result, refused


PAIRS = [*pairwise(CLASSIFIERS), (CLASSIFIERS[-1], CLASSIFIERS[0])]


@pytest.mark.slow
@pytest.mark.parametrize("teacher, student", PAIRS, ids=lambda name: name.partition(":")[2])
def test_every_method_of_classification_on_every_network(teacher, student, colours, tmp_path):
    result, refused = runs_or_refuses(colours, teacher, student, "classification", tmp_path / "run")
    assert len(result.names) >= 25 and {"none", "kd", "at", "ickd_c+kd", "mlld"} <= set(result.names)


@pytest.mark.slow
@pytest.mark.parametrize("teacher, student", [*pairwise(SEGMENTERS), (unet, SEGMENTERS[0])], ids=str)
def test_every_method_of_segmentation_on_every_network(teacher, student, roads, tmp_path):
    result, refused = runs_or_refuses(roads, teacher, student, "segmentation", tmp_path / "run", batch_size=4)
    assert len(result.names) >= 20 and {"none", "cwd", "cwd.features", "ifvd", "ickd_s.grid1"} <= set(result.names)
