"""What a user may get wrong: each ends in one sentence that names it, and nothing is written."""

import shutil

import pytest
import torch
import torchvision
from PIL import Image
from test_distil import write_pictures
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import icckd
from icckd.runs.parameters import RunError

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Good and bad folders and files."""
    root = tmp_path_factory.mktemp("bad")
    for form in ("classes", "masks", "pictures"):
        write_pictures(root / form, form)
    broken = {
        "damaged": ("classes", lambda f: (f / "train" / "red" / "red0.png").write_bytes(b"no picture")),
        "one_class": (
            "classes",
            lambda f: [shutil.rmtree(f / s / c) for s in ("train", "val") for c in ("red", "blue")],
        ),
        "empty_class": ("classes", lambda f: [p.unlink() for p in (f / "val" / "red").iterdir()]),
        "other_classes": ("classes", lambda f: (f / "val" / "red").rename(f / "val" / "pink")),
        "no_train": ("classes", lambda f: shutil.rmtree(f / "train")),
        "no_masks": ("masks", lambda f: shutil.rmtree(f / "train" / "masks")),
        "no_mask": ("masks", lambda f: (f / "val" / "masks" / "red0.png").unlink()),
        "small_mask": ("masks", lambda f: Image.new("L", (5, 5)).save(f / "train" / "masks" / "red0.png")),
        "colour_mask": ("masks", lambda f: Image.new("RGB", (48, 40)).save(f / "train" / "masks" / "red0.png")),
        "alone": ("pictures", lambda f: shutil.rmtree(f / "val")),
        "single": (
            "pictures",
            lambda f: [shutil.rmtree(f / "val"), *[p.unlink() for p in sorted(f.glob("train/*.png"))[1:]]],
        ),
        "training": ("classes", lambda f: [(f / "train").rename(f / "training"), (f / "val").rename(f / "test")]),
        "valid": ("classes", lambda f: (f / "val").rename(f / "valid")),
        "far_label": ("masks", lambda f: Image.new("L", (48, 40), 9).save(f / "train" / "masks" / "red0.png")),
    }
    for name, (form, spoil) in broken.items():
        shutil.copytree(root / form, root / name)
        spoil(root / name)
    (root / "empty").mkdir()
    (root / "file").write_text("a file")
    (root / "weights.txt").write_text("no weights")
    torch.save(torchvision.models.resnet18(), root / "whole.pt")
    torch.save(torchvision.models.resnet18(num_classes=1000).state_dict(), root / "thousand.pt")
    torch.save(torchvision.models.resnet34(num_classes=3).state_dict(), root / "other.pt")
    return root


class Raises(nn.Module):
    def __init__(self, when):
        super().__init__()
        self.when, self.linear = when, nn.Linear(3, 3)

    def forward(self, images):
        if self.when == "always" or (self.when == "training" and self.training):
            raise TypeError("something\nelse")
        return {"loss": None} if self.when == "nothing" else self.linear(images.mean((2, 3)))


class Does(Raises):
    """Gives probabilities, or writes into its pictures."""

    def forward(self, images):
        found = self.linear((images.mul_(2) if self.when == "writes" else images).mean((2, 3)))
        return found.sum() if self.when == "sums" else found.softmax(1)


class Endless(IterableDataset):
    def __iter__(self):
        yield torch.zeros(3, 8, 8), 0


pixels = torch.randint(0, 256, (12, 3, 64, 64), dtype=torch.uint8)
pairs = lambda labels, images=pixels: (TensorDataset(images, labels),) * 2
good = torch.arange(12) % 3
spoilt, fixed = (pixels / 255).index_fill(0, torch.tensor(7), float("nan")), Raises("never")
CASES = {
    # the call
    "no teacher": ({"teacher": ""}, "teacher: wanted a network, e.g. torchvision:resnet18, got none"),
    "a number as student": (
        {"student": 18},
        "student: wanted a name, an nn.Module or a function that makes one, got 18",
    ),
    "two students": ({"student": "resnet8 resnet14"}, "student: wanted one network, got 2"),
    "mistyped parameter": ({"epoch": 3}, "parameter 'epoch': did you mean epochs"),
    "text as epochs": ({"epochs": "many"}, "epochs: wanted an integer, got 'many'"),
    "epochs below zero": ({"epochs": -1}, "epochs: wanted an integer >= 0, got -1"),
    "batch of one": ({"batch_size": 1}, "batch_size: wanted 2 or more"),
    "batch too large": ({"data": "masks", "method": "cwd", "batch_size": 99}, "batch_size: wanted at most the 24"),
    "seed below zero": ({"seeds": "-1"}, "seeds: wanted integers >= 0, each once"),
    "seed twice": ({"seeds": (1, 1)}, "seeds: wanted integers >= 0, each once, e.g. 0 1 2, got '1 1'"),
    "unknown method": ({"method": "ikcd_c"}, "method 'ikcd_c' for classification: did you mean ickd_c"),
    "method of the other task": ({"method": "cwd"}, "method 'cwd' for classification"),
    "unknown option": (
        {"method": "kd:temprature=2"},
        "method 'kd:temprature=2': no option 'temprature'; options of kd",
    ),
    "impossible option": ({"method": "kd:temperature=0"}, "method 'kd:temperature=0': temperature"),
    "no method": ({"method": []}, "method: wanted at least one name of the method table, got none"),
    "weight of several": ({"method": "kd at", "weight": 2}, "weight: wanted a number for one method"),
    "weight in words": ({"weight": "big"}, "weight: wanted a number .*, or auto, got 'big'"),
    "weight below zero": ({"weight": -1}, "weight: wanted a number >= 0, or auto, got '-1'"),
    "weight that is none": ({"weight": float("nan")}, "weight: wanted a number >= 0, or auto, got 'nan'"),
    "two weights": ({"method": "kd:weight=3", "weight": 2}, "weight: 'kd:weight=3' has one in its name; wanted one of"),
    "yes as epochs": ({"epochs": True}, "epochs: wanted a number, got True"),
    "folder within the data": ({"out": "{root}/classes/train/runs"}, "out: wanted a folder outside the pictures, got"),
    "classes of other data": ({"num_classes": 5}, "num_classes: wanted none, or the 3 of classes-.*, got 5"),
    "normalisation of files": ({"data_normalisation": "0.5 0.5"}, "data_normalisation: wanted none, since classes-"),
    "unknown recipe": ({"recipe": "long"}, "recipe 'long': known: "),
    "recipe of the other task": ({"recipe": "short_segmentation"}, "recipe: 'short_segmentation' is for segmentation"),
    "unknown device": ({"device": "gpu"}, "device: wanted auto, cpu, cuda or cuda:N, got 'gpu'"),
    "folder that is a file": ({"out": "{root}/file"}, "out: wanted a folder that can be written to, got"),
    "augmentation": ({"augmentation": "crop blur"}, "augmentation: unknown 'blur' in classification"),
    "image size": ({"image_size": 4}, "image_size: wanted"),
    "half a normalisation": ({"teacher_normalisation": "0.5"}, "teacher_normalisation: wanted the mean and then"),
    "normalisation of 255": (
        {"student_normalisation": "127 58"},
        "student_normalisation: mean: wanted three numbers in 0..1",
    ),
    # folders
    "missing folder": ({"data": "nowhere"}, "data: .*nowhere.* is missing; wanted train/CLASS"),
    "a file as folder": ({"data": "file"}, "data: .*file is no folder; wanted train/CLASS"),
    "empty folder": ({"data": "empty"}, "data: .*empty holds neither pictures nor folders"),
    "one class": ({"data": "one_class"}, "one_class: .*train has 1 class folders, wanted at least 2"),
    "class without pictures": ({"data": "empty_class"}, "empty_class: .*val/red holds no picture"),
    "other classes in val": ({"data": "other_classes"}, "other_classes: class 'pink' is in only one of"),
    "no train": ({"data": "no_train"}, "data: .*train is missing beside .*val"),
    "damaged picture": ({"data": "damaged"}, "red0.png is damaged or no image"),
    "no folder of masks": ({"data": "no_masks", "method": "cwd"}, "data: .*train/masks is missing"),
    "no mask": (
        {"data": "no_mask", "method": "cwd"},
        "no_mask: .*val/masks/red0.png, the mask of .*red0.png, is missing",
    ),
    "mask of another size": ({"data": "small_mask", "method": "cwd"}, "red0.png is 5 x 5, its image 40 x 48"),
    "mask of colours": ({"data": "colour_mask", "method": "cwd"}, "red0.png is a RGB image, wanted one channel"),
    "labels with gaps": ({"data": "far_label", "method": "cwd"}, "far_label: .*train/masks holds the values"),
    "pictures without labels": (
        {"data": "alone", "teacher": "resnet8"},
        "num_classes: wanted the number of the teacher's",
    ),
    "val without classes": (
        {"data": "pictures", "num_classes": 3},
        "data: .*pictures/val holds no class folders; wanted val/CLASS",
    ),
    "nothing to train a teacher on": (
        {"data": "alone", "num_classes": 3},
        "teacher: wanted a trained one .* since the pictures have no labels to train it on",
    ),
    "one picture": ({"data": "single", "num_classes": 3}, "data: .*single has too few pictures to hold out a fifth"),
    "splits as classes": ({"data": "training"}, "data: .* holds the folders test, training, which are no classes"),
    "val by another name": ({"data": "valid"}, "data: .*valid/valid is not read; wanted val as the name"),
    # torch data
    "a single data set": (
        {"data": TensorDataset(pixels, good)},
        "data: wanted a folder, the name of a data set, or a pair",
    ),
    "iterable data": (
        {"data": (DataLoader(Endless()),) * 2},
        "data: wanted data sets or loaders of them, with a length",
    ),
    "labels that are floats": ({"data": pairs(good.float())}, "data: wanted the number of a class, or a label map"),
    "negative labels": ({"data": pairs(good - 1)}, "data: wanted labels 0..1, one class name each, got -1..1"),
    "sizes": ({"data": ([(pixels[0], 0), (pixels[1, :, :9], 1)],) * 2}, "data: sample 1 of the train set is 9 x 64"),
    "five colours": ({"data": pairs(good, torch.rand(12, 5, 8, 8))}, "data: wanted pictures of 1 or 3 colours"),
    "paths": ({"data": ("train", "val")}, "data: wanted data sets or loaders of them, .* of type str"),
    "a tuple of one": ({"data": ([(pixels[0],)],) * 2}, "data: wanted samples .picture, label., .* got a tuple of 1"),
    "batches of one": ({"data": (DataLoader(pairs(good)[0]),) * 2}, "batch_size: the loader has batches of one"),
    "size of a pair": (
        {"data": pairs(good), "image_size": 32},
        "image_size: wanted none, or that of .* 64 x 64, got 32",
    ),
    "crops of a pair": ({"data": pairs(good), "augmentation": "crop"}, "augmentation: wanted none, since Tensor"),
    "NaN": ({"data": pairs(good, spoilt)}, "data: sample 7 of the train set holds NaN or infinity"),
    "floats up to 255": (
        {"data": pairs(good, pixels.float())},
        "data: wanted .* got floats up to 255; divide them by 255",
    ),
    "half is normalised": (
        {"data": (pairs(good, pixels / 128 - 1)[0], pairs(good)[1])},
        "data: wanted all pictures alike, but the training pictures are normalised",
    ),
    "bytes as normalised": (
        {"data": pairs(good), "data_normalisation": "0.5 0.5"},
        "data_normalisation: wanted pictures as floats, normalised already, got uint8",
    ),
    "no samples": ({"data": ([], [])}, "data: wanted at least one training sample, got none"),
    # networks
    "file as network": (
        {"teacher": "{root}/whole.pt"},
        "teacher: wanted a network, got the file .*; weights are given as",
    ),
    "several in a mapping": ({"teacher": {"a": nn.Linear(3, 3), "b": fixed}}, "teacher: wanted a name, .* .dict.$"),
    "arrays": ({"data": (pixels, good, good)}, "data: wanted a folder, .* .tuple.$"),
    "unknown network": ({"student": "resnet9"}, "network: unknown 'resnet9'; did you mean resnet8"),
    "without its library": ({"student": "mobilenetv3_small_050"}, "did you mean timm:mobilenetv3_small_050"),
    "missing module": ({"student": "nowhere:net"}, "network 'nowhere:net': module nowhere cannot be imported"),
    "missing function": ({"student": "torchvision.models:resnet19"}, "torchvision.models has no function 'resnet19'"),
    "function that makes no network": ({"student": lambda: 3}, "network 'lambda': wanted an nn.Module, got 3"),
    "other classes": (
        {"student": torchvision.models.resnet18()},
        "student: wanted logits of shape .3. .* got 1000 from",
    ),
    "network that fails": (
        {"student": Raises("always")},
        "student: Raises-.* does not run on pictures of 64 x 64 .TypeError",
    ),
    "network that fails in training": (
        {"student": Raises("training")},
        "method 'none' cannot train .* .TypeError: some",
    ),
    "network that returns nothing": (
        {"student": Raises("nothing")},
        "student: .* wanted logits as a tensor, as an entry",
    ),
    "frozen": ({"student": Raises("never").requires_grad_(False)}, "student: Raises-.* has no parameter that requires"),
    "the same each time": (
        {"student": lambda: fixed},
        "student: lambda returns the same network each time, wanted a new",
    ),
    "lazy": ({"student": nn.Sequential(nn.Flatten(), nn.LazyLinear(3))}, "student: Sequential has lazy layers without"),
    "TorchScript": ({"teacher": torch.jit.script(nn.Linear(3, 3))}, "teacher: wanted an nn.Module, got TorchScript"),
    "probabilities": ({"teacher": Does("softmax")}, "teacher: wanted logits, got probabilities from Does-.*softmax"),
    "writes into pictures": ({"teacher": Does("writes")}, "teacher: Does-.* changes its pictures in place"),
    "a single number": ({"teacher": Does("sums")}, "teacher: wanted logits of shape .3. .* got a number from Does"),
    "layer that is none": (
        {"student_layers": {"last": "layer9"}},
        "student_layers: last=layer9: layer 'layer9': no such",
    ),
    "half a layer": (
        {"teacher_layers": "last"},
        "teacher_layers: wanted words like last=layer4 pooled=fc:input, got 'last'",
    ),
    "equal channels": ({"method": "fsp"}, "method 'fsp' cannot train .* .FSP needs equal"),
    "segmenter for classes": ({"student": "pspnet_r18"}, "student: wanted logits of shape .3. for a picture, got 3x"),
    "pretrained of ours": (
        {"pretrained": "student"},
        "pretrained: only networks of torchvision and timm have such weights",
    ),
    # weights
    "folder as weights": ({"teacher_checkpoint": "{root}"}, "teacher_checkpoint: wanted a weight file, .* is a folder"),
    "epochs for weights": (
        {"teacher_checkpoint": "{root}/other.pt", "teacher_epochs": 2},
        "teacher_epochs: wanted none beside teacher_checkpoint",
    ),
    "missing weights": ({"teacher_checkpoint": "gone.pt"}, "teacher_checkpoint: wanted a weight file, got 'gone.pt'"),
    "text as weights": (
        {"teacher_checkpoint": "{root}/weights.txt"},
        "teacher_checkpoint: .*weights.txt: no readable weight",
    ),
    "whole model": ({"teacher_checkpoint": "{root}/whole.pt"}, "teacher_checkpoint: .*holds a whole pickled model"),
    "1000 classes": (
        {"teacher_checkpoint": "{root}/thousand.pt"},
        "fc.weight is 1000 x 512 in the file and 3 x 512 in the",
    ),
    "another network's": (
        {"teacher_checkpoint": "{root}/other.pt"},
        "weights do not fit ResNet: .* which the network has not",
    ),
    "two for one": (
        {"teacher_checkpoint": ["{root}/other.pt"] * 2},
        "teacher_checkpoint: wanted one for each of 1 teachers",
    ),
}


def given(place, changes):
    """The arguments of a good call, changed."""
    changes = dict(changes)
    data = changes.pop("data", "classes")
    fill = lambda x: (
        x.format(root=place) if isinstance(x, str) else [fill(one) for one in x] if isinstance(x, list) else x
    )
    task = "pspnet_r18@0.25" if changes.get("method") == "cwd" and data != "classes" else None
    networks = {"teacher": task or "torchvision:resnet18", "student": task or "resnet8"}
    options = {"method": "kd", "image_size": 64, "epochs": 1, "device": "cpu", "out": str(place / "out")}
    data = place / data if isinstance(data, str) else data
    return data, {**networks, **options, **{name: fill(x) for name, x in changes.items()}}


@pytest.mark.parametrize("case", CASES)
def test_one_sentence_and_nothing_written(place, case):
    changes, message = CASES[case]
    data, options = given(place, changes)
    with pytest.raises(RunError, match=message) as caught:
        icckd.distil(data, say=lambda line: None, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence and len(sentence) < 600, sentence
    assert not (place / "out").exists() and not (place / "classes/train/runs").exists(), "something was written"


def test_there_are_forty_cases_and_a_good_call_is_none(place):
    assert len(CASES) >= 40
    data, options = given(place, {"train_limit": 8})
    result = icckd.distil(data, say=lambda line: None, **{**options, "out": str(place / "good")})
    assert result.records[0]["kd"]["status"] == "ok"
