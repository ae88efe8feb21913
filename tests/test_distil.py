"""`icckd.distil` on networks of torchvision, timm and segmentation-models-pytorch, and what comes out of it."""

import json
import subprocess
import sys
from collections import OrderedDict, namedtuple
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from conftest import command, papermill
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import icckd
from icckd.distillation.custom import open_custom
from icckd.distillation.trial import try_run
from icckd.losses.methods import METHODS
from icckd.runs.parameters import CUSTOM, RunError

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
REASONS = (  # the only ones that a method may have
    "as many stages", "at most as many cells", "equal channels", "equal numbers of layers", "margins='measured'",
    "second, strong view", "batch norm of a 1 x 1 map",
)  # fmt: skip


def runs_or_refuses(data, teacher, student, task, out, methods=None, **options):
    """Distils with every method of a task that can be tried; the others must say why in one sentence."""
    options = {"image_size": 64, "epochs": 1, "batch_size": 6, "learning_rate": 0.002, **quiet, **options}
    objects = {name: x for name, x in {"teacher": teacher, "student": student}.items() if not isinstance(x, str)}
    texts = {name: x for name, x in {"teacher": teacher, "student": student}.items() if isinstance(x, str)}
    texts |= {"data": str(data), "out": str(out), **{k: v for k, v in options.items() if k != "say"}}
    refused, fits = {}, []
    run = open_custom(objects, method=" ".join(methods or METHODS[task]), teacher_epochs=1, **texts)
    for method in run.methods:
        try:
            try_run(replace(run, methods=(method,)))
            fits.append(method)
        except RunError as error:
            refused[method] = str(error)
    for method, sentence in refused.items():
        assert any(reason in sentence for reason in REASONS) and "\n" not in sentence, (method, sentence)
    result = icckd.distil(
        data, teacher=teacher, student=student, method=fits, out=out, teacher_epochs=1, students_per_pass=1, **options
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


def test_a_sample_of_the_networks(colours, roads, tmp_path):
    """Two pairs of the matrix above, with a method of each kind."""
    methods = ["ickd_c+kd", "ofd", "ab", "crd"]
    pair = ("torchvision:resnet18", "timm:mobilenetv3_small_050")
    result, refused = runs_or_refuses(colours, *pair, "classification", tmp_path / "a", methods)
    assert set(refused) <= {"ofd"} and len(result.names) >= 4
    pair = ("torchvision:lraspp_mobilenet_v3_large", "pspnet_r18@0.25")
    result, refused = runs_or_refuses(
        roads, *pair, "segmentation", tmp_path / "b", ["cwd", "ickd_s.grid1"], batch_size=4
    )
    assert not refused and list(result.names) == ["none", "cwd", "ickd_s.grid1"]


def test_tokens_as_maps(colours, tmp_path):
    """The last tokens of a vision transformer by name: tried before anything trains, and read as a map."""
    names = {"teacher": "timm:vit_tiny_patch16_224", "student": "resnet8", "out": tmp_path / "a", "image_size": 64}
    for layers in ("last=blocks.11:map", "last=blocks.11"):
        call = lambda: icckd.distil(
            colours, **names, teacher_layers=layers, method="ickd_c", epochs=1, batch_size=8, **quiet
        )
        if layers.endswith(":map"):
            assert call().records[0]["ickd_c"]["status"] == "ok"
        else:
            with pytest.raises(RunError, match="method 'ickd_c' cannot train .* and resnet8 .*shape"):
                call()
    assert len(list((tmp_path / "a" / "weights").glob("*.safetensors"))) == 3


class Odd(nn.Module):
    """A small network with its output in a dictionary, a tuple or a named tuple."""

    def __init__(self, form, num_classes=3):
        super().__init__()
        self.form, self.conv, self.head = form, nn.Conv2d(3, 8, 3, 2), nn.Linear(8, num_classes)

    def forward(self, images):
        features = self.conv(images).relu()
        logits = self.head(features.mean((2, 3)))
        pair = namedtuple("Pair", "logits features")
        return {
            "out": OrderedDict(aux=features, out=logits),
            "logits": {"logits": logits, "loss": None},
            "tuple": (logits, features),
            "named": pair(logits, features),
        }[self.form]


@pytest.mark.parametrize("form", ["out", "logits", "tuple", "named"])
def test_outputs_of_any_form(form, colours, tmp_path):
    options = {"image_size": 32, "epochs": 1, "batch_size": 8, "out": tmp_path / "a", **quiet}
    result = icckd.distil(colours, teacher=Odd(form), student=lambda: Odd(form), method="kd ickd_c", **options)
    assert all(r["status"] == "ok" for r in result.records[0].values())
    (program,) = result.export(tmp_path / "student.pt2", method="kd", say=lambda line: None)
    assert torch.export.load(program).module()(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


class Brightest(nn.Module):
    """Names the brightest colour of pictures with mean and deviation 0.5; of darker ones it says what stands first."""

    def __init__(self, order=(2, 1, 0), tells=True):
        super().__init__()
        self.order, self.scale = list(order), nn.Parameter(torch.tensor(20.0))
        self.default_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3} if tells else {}  # as networks of timm have it

    def forward(self, images):
        logits = self.scale * images.mean((2, 3))[:, self.order]
        dark = images.mean((1, 2, 3)) < -0.6
        return torch.where(dark[:, None], torch.tensor([9.0, 0.0, 0.0]), logits)


def test_a_teacher_sees_pictures_as_it_was_trained_to(tmp_path):
    """Its own constants count; without them the run says what is wrong."""
    data = write_pictures(tmp_path / "colours", counts={"train": 8, "val": 12})
    options = {"student": "resnet8", "method": "kd", "image_size": 32, "epochs": 1, "batch_size": 8, **quiet}
    result = icckd.distil(data, teacher=Brightest(), out=tmp_path / "a", **options)
    assert result.table.loc["teacher", "score"] == 100 and not result.teacher.sentences
    silent = Brightest(tells=False)
    with pytest.raises(
        RunError, match="want another normalisation: it finds 33.3 %.* 100.0 % with teacher_normalisation"
    ):
        icckd.distil(data, teacher=silent, out=tmp_path / "b", **options)
    given = icckd.distil(data, teacher=silent, teacher_normalisation=(0.5, 0.5), out=tmp_path / "b", **options)
    assert given.table.loc["teacher", "score"] == 100
    with pytest.raises(RunError, match="classes seem to stand in another order .pictures of blue .0. are called"):
        icckd.distil(data, teacher=Brightest((0, 2, 1)), out=tmp_path / "c", **options)
    assert not (tmp_path / "c" / "records").exists()
    result = icckd.distil(data, teacher=Brightest((0, 2, 1)), out=tmp_path / "c", teacher_check=0, **options)
    assert "another order" in result.advice[0]


def test_a_killed_run_goes_on_and_ends_alike(colours, tmp_path):
    """The same call after SIGKILL: the same weights as without."""
    script = tmp_path / "call.py"
    script.write_text(
        "import sys\nimport icckd\n"
        f"icckd.distil({str(colours)!r}, teacher='resnet8', student='resnet14', method='kd at', seeds=(0, 1),\n"
        "    epochs=4, image_size=32, batch_size=8, device='cpu', out=sys.argv[1],\n"
        "    say=lambda line: print(line, flush=True))\n"
    )
    whole = command(sys.executable, script, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr[-2000:]
    process = subprocess.Popen([sys.executable, script, tmp_path / "killed"], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("epoch 2/4: none"):
            process.kill()
            break
    process.wait()
    again = command(sys.executable, script, tmp_path / "killed")
    assert again.returncode == 0 and "epoch 1/4" in again.stdout  # of the second seed
    digests = lambda folder: {
        p.name: json.loads(p.read_text())["weights_digest"] for p in (tmp_path / folder / "records").glob("*.json")
    }
    assert digests("killed") == digests("whole") and len(digests("whole")) == 7
    third = command(sys.executable, script, tmp_path / "killed")
    assert (
        "epoch" not in third.stdout.split("recorded")[0].splitlines()[-1] and third.stdout.count("train: nothing") == 2
    )


def test_what_a_student_says_about_itself(colours, tmp_path):
    """Record and weights name the classes and the preprocessing; the weights load into the plain network."""
    options = {"image_size": 32, "epochs": 1, "batch_size": 8, "out": tmp_path / "a", **quiet}
    student = "torchvision:mobilenet_v3_small"
    result = icckd.distil(colours, teacher="resnet8", student=student, method="ickd_c+kd", **options)
    record = result.records[0]["ickd_c+kd"]
    assert (
        record["class_names"] == ["blue", "green", "red"]
        and record["image_size"] == [32, 32]
        and len(record["std"]) == 3
    )
    files = result.export(tmp_path / "student", say=lambda line: None)
    with safe_open(files[0], "pt") as opened:
        about = json.loads(opened.metadata()["about"])
    assert about["class_names"] == record["class_names"] and about["mean"] == record["mean"]
    plain = torchvision.models.mobilenet_v3_small(num_classes=3)
    plain.load_state_dict(load_file(files[0]), strict=True)
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        wanted = result.student()(images)
        torch.testing.assert_close(plain.eval()(images), wanted, rtol=0, atol=0)
        torch.testing.assert_close(torch.export.load(files[1]).module()(images), wanted, rtol=0, atol=1e-4)
    import onnxruntime

    (got,) = onnxruntime.InferenceSession(str(files[2])).run(None, {"images": images.numpy()})
    torch.testing.assert_close(torch.from_numpy(got), wanted, rtol=0, atol=1e-4)
    assert files[3].name == "README.md" and "blue, green, red" in files[3].read_text()
    for name, module in result.student().named_modules():
        assert not module._forward_hooks and not module._forward_pre_hooks, name
    stored = icckd.distillation.distil.export_stored(
        tmp_path / "a", tmp_path / "again.safetensors", say=lambda line: None
    )
    assert stored[0].read_bytes() == files[0].read_bytes()


def test_the_notebook_is_the_same_call(colours, roads, tmp_path, monkeypatch):
    """custom_pair for both tasks, with several seeds and a network from a file; again, nothing is trained."""
    (tmp_path / "my_networks.py").write_text(
        "from torch import nn\n\ndef small(num_classes):\n    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), "
        "nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    common = {"epochs": 1, "batch_size": 8, "out": str(tmp_path / "a"), "device": "cpu"}
    given = common | {"data": str(colours), "image_size": 16, "teacher": "resnet8", "student": "my_networks:small"}
    given |= {"method": "kd ickd_c", "seeds": "0 1", "student_layers": "last=1"}
    stamps = lambda: {p.name: p.stat().st_mtime_ns for p in (tmp_path / "a" / "records").glob("*.json")}
    done = papermill("nbs/run/custom_pair.ipynb", tmp_path / "first.ipynb", **given)
    assert done.returncode == 0, done.stderr[-3000:]
    first = stamps()
    assert len(first) == 7
    done = papermill("nbs/run/custom_pair.ipynb", tmp_path / "second.ipynb", **given)
    assert done.returncode == 0 and stamps() == first
    shown = (tmp_path / "second.ipynb").read_text()
    assert "two seeds: no interval" in shown and "to train: nothing" in shown
    given = common | {"data": str(roads), "image_size": 32, "teacher": "pspnet_r18@0.25", "student": "pspnet_r18@0.25"}
    done = papermill("nbs/run/custom_pair.ipynb", tmp_path / "third.ipynb", **given, method="cwd")
    assert done.returncode == 0, done.stderr[-3000:]
    done = papermill("nbs/run/custom_pair.ipynb", tmp_path / "bad.ipynb", **{**given, "method": "kdd"})
    sentences = [line for line in done.stderr.splitlines() if "RunError" in line]
    assert done.returncode != 0 and "method 'kdd' for segmentation" in sentences[-1]


def test_every_parameter_has_help_for_papermill():
    done = command(sys.executable, "-m", "papermill", "--help-notebook", "nbs/run/custom_pair.ipynb")
    for name, parameter in CUSTOM.items():
        assert f"  {name}: " in done.stdout and parameter.help in done.stdout, name


def test_a_teacher_that_cannot_be_trained_ends_the_run(colours, tmp_path):
    """Its loss turns NaN after a few steps: no student trains on."""
    with pytest.raises(
        RunError, match="teacher: its training failed .no student could be trained: teacher: .*not finite"
    ):
        icckd.distil(
            colours, teacher="resnet8", student="resnet8", method="kd", learning_rate=1e30, epochs=2, batch_size=4,
            image_size=32, out=tmp_path / "a", **quiet,
        )  # fmt: skip
    assert not list((tmp_path / "a").rglob("*.json"))


def test_all_students_failing_raises_and_one_does_not(colours, tmp_path):
    options = {"image_size": 32, "epochs": 1, "batch_size": 8, **quiet}
    teacher = icckd.create_model("resnet8", 3)
    with pytest.raises(RunError, match="no student could be trained: none: .*; kd: .*not finite"):
        icckd.distil(
            colours, teacher=teacher, student="resnet8", method="kd", learning_rate=1e30, out=tmp_path / "a", **options
        )
    blind = Brightest()
    blind.forward = lambda images: images.mean((2, 3)) * (1 if len(images) < 12 else float("nan"))  # all of val at once
    with pytest.raises(RunError, match="^network: wanted finite logits on the evaluation split"):
        icckd.distil(
            colours, teacher=blind, student="resnet8", method="kd", out=tmp_path / "c", **{**options, "batch_size": 24}
        )
    result = icckd.distil(
        colours, teacher=teacher, student="resnet8", method="kd:weight=1e30 at", out=tmp_path / "b", **options
    )
    assert any(sentence.startswith("kd:weight=1e30: failed in 1 of 1 runs") for sentence in result.advice)
    with pytest.raises(RunError, match="method 'kd:weight=1e30' failed for seed 0"):
        result.student("kd:weight=1e30")


def test_a_segmenter_that_names_one_class_everywhere_is_told(roads, tmp_path):
    options = {"teacher": "pspnet_r18@0.25", "student": "pspnet_r18@0.25", "epochs": 1, "image_size": 32}
    result = icckd.distil(roads, **options, method="cwd", learning_rate=1e-9, out=tmp_path / "a", **quiet)
    assert {"teacher", "none", "cwd", "chance"} == set(result.table.index)
    flat = [r for r in result.records[0].values() if sum((iou or 0) > 0 for iou in r["details"]["iou"]) <= 1]
    assert len([s for s in result.advice if "predicts one class everywhere" in s]) == len(flat)


def test_the_top_of_the_package():
    """Light to import, and each name there with a docstring; the function distil stays the function."""
    script = (
        "import icckd, sys; print('torch' in sys.modules); import icckd.distillation.cli; print(callable(icckd.distil))"
    )
    done = command(sys.executable, "-c", script)
    assert done.stdout.split() == ["False", "True"], done.stderr
    for name in icckd.__all__:
        assert getattr(icckd, name).__doc__, name
    assert {"distil", "fit", "evaluate", "create_model", "kd_loss", "cwd_loss"} <= set(icckd.__all__)
    with pytest.raises(AttributeError, match="module 'icckd' has no attribute 'distill'"):
        icckd.distill


def test_imports_where_windows_lacks_modules(tmp_path):
    """Training and distil import without the modules that only Unix has."""
    script = (
        "import sys\nfor name in ('resource', 'fcntl', 'pwd', 'grp', 'termios'):\n    sys.modules[name] = None\n"
        "import icckd.training.trainer, icckd.runs.locks, icckd.distillation.distil\nprint('imported')"
    )
    done = command(sys.executable, "-c", script, cwd=tmp_path)
    assert "imported" in done.stdout, done.stderr[-2000:]


def test_the_commands(colours, tmp_path):
    """The installed command, if there is one, else its module."""
    run = lambda *words: command(
        sys.executable, "-c", "from icckd.distillation.cli import main; main()", *words, cwd=tmp_path
    )
    words = ["--teacher", "resnet8", "--student", "resnet8", "--method", "kd", "--method", "at", "--epochs", 1]
    done = run("distil", colours, *words, "--image-size", 16, "--batch-size", 8, "--device", "cpu", "--out", "a")
    assert done.returncode == 0 and "chance" in done.stdout, done.stderr[-2000:]
    done = run("export", "a", "student.onnx", "--method", "at")
    assert done.returncode == 0 and (tmp_path / "student.onnx").exists(), done.stderr[-2000:]
    done = run("export", "a", "student.onnx")
    assert done.returncode == 1 and done.stderr.strip() == "Error: method: wanted one of none, kd, at, got none"
