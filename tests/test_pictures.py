"""Picture files as people have them, in every reader: each test gives one kind of file to all of them."""

import json
import os
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

from icckd.data.create import load_dataset
from icckd.data.dataset import InMemoryClassification
from icckd.data.files import MEAN, STD, ClassificationFiles, SegmentationFiles, colour_map, label_table
from icckd.data.held_out import held_out
from icckd.data.image_folders import load_image_folders
from icckd.data.normalisation import to_bgr_mean
from icckd.data.pictures import ORIENTATION
from icckd.data.segmentation import InMemorySegmentation
from icckd.data.segmentation_folders import load_segmentation_folders

SIDE = 32


def picture(seed, height=SIDE, width=SIDE):
    """Smooth noise, which JPEG changes little."""
    cells = np.random.default_rng(seed).integers(40, 216, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BILINEAR)


def mask(seed, values):
    return Image.fromarray(np.random.default_rng(seed).choice(values, (SIDE, SIDE)).astype(np.uint8))


def write(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def class_tree(root, classes=("cat", "dog"), train=4, val=2, ending="png"):
    for split, count in (("train", train), ("val", val)):
        for label, one in enumerate(classes):
            for k in range(count):
                write(picture(100 * label + k + 50 * (split == "val")), root / split / one / f"{k}.{ending}")
    return root


# Each reader of pictures: writes a tiny tree, and gives what loads it, one of its training pictures, one of its label
# maps, and a folder in which a stray file would be found.


def folders_in_memory(root):
    tree = class_tree(root / "pets")
    return partial(load_image_folders, tree, SIDE), tree / "train/cat/1.png", None, tree / "train/cat"


def folders_from_files(root):
    tree = class_tree(root / "pets")
    return partial(load_image_folders, tree, SIDE, "files"), tree / "train/cat/1.png", None, tree / "train/cat"


def imagenet(root):
    tree = class_tree(root / "imagenet", ending="JPEG")
    load = partial(load_dataset, "imagenet", root, num_workers=0)
    return load, tree / "train/cat/1.JPEG", None, tree / "train/cat"


def segmentation_folders(root):
    tree = root / "streets"
    for split in ("train", "val"):
        for k in range(4):
            write(picture(k), tree / split / "images" / f"{k}.png")
            write(mask(k, (0, 1, 2, 255)), tree / split / "masks" / f"{k}.png")
    load = partial(load_segmentation_folders, tree, 16, num_workers=0)
    return load, tree / "train/images/1.png", tree / "train/masks/1.png", tree / "train/images"


def cityscapes(root):
    for split in ("train", "val"):
        for k in range(4):
            name = f"{split}/aachen/aachen_{k}"
            write(picture(k), root / f"cityscapes/leftImg8bit/{name}_leftImg8bit.png")
            write(mask(k, range(34)), root / f"cityscapes/gtFine/{name}_gtFine_labelIds.png")
    tree, name = root / "cityscapes", "train/aachen/aachen_1"
    load = partial(load_dataset, "cityscapes", root, num_workers=0)
    images = tree / "leftImg8bit"
    label = tree / f"gtFine/{name}_gtFine_labelIds.png"
    return load, images / f"{name}_leftImg8bit.png", label, images / "train/aachen"


def ade20k(root):
    tree = root / "ADEChallengeData2016"
    for split in ("training", "validation"):
        for k in range(4):
            write(picture(k), tree / f"images/{split}/{k}.jpg")
            write(mask(k, range(151)), tree / f"annotations/{split}/{k}.png")
    load = partial(load_dataset, "ade20k", root, num_workers=0)
    return load, tree / "images/training/1.jpg", tree / "annotations/training/1.png", tree / "images/training"


def voc2012(root):
    tree = root / "VOCdevkit/VOC2012"
    for k in range(4):
        write(picture(k), tree / f"JPEGImages/{k}.jpg")
        for folder in ("SegmentationClass", "SegmentationClassAug"):
            write(mask(k, (*range(21), 255)), tree / folder / f"{k}.png")
    (tree / "ImageSets/Segmentation").mkdir(parents=True)
    for split in ("train_aug", "val"):
        (tree / f"ImageSets/Segmentation/{split}.txt").write_text("0\n1\n2\n3\n")
    load = partial(load_dataset, "voc2012", root, num_workers=0)
    return load, tree / "JPEGImages/1.jpg", tree / "SegmentationClassAug/1.png", None


def camvid(root):
    tree = root / "camvid"
    for split in ("train", "val", "test"):
        for k in range(4):
            write(picture(k), tree / f"{split}/{k}.png")
            write(mask(k, range(12)), tree / f"{split}annot/{k}.png")
        lines = (f"{split}/{k}.png {split}annot/{k}.png\n" for k in range(4))
        (tree / f"{split}.txt").write_text("".join(lines))
    return partial(load_dataset, "camvid", root), tree / "train/1.png", tree / "trainannot/1.png", None


CLASSES = (folders_in_memory, folders_from_files, imagenet)
MAPS = (segmentation_folders, cityscapes, ade20k, voc2012, camvid)
every_reader = pytest.mark.parametrize("reader", (*CLASSES, *MAPS), ids=lambda reader: reader.__name__)
of_maps = pytest.mark.parametrize("reader", MAPS, ids=lambda reader: reader.__name__)
of_classes = pytest.mark.parametrize("reader", CLASSES, ids=lambda reader: reader.__name__)


def sentence(load, *words):
    """The one sentence that loading ends with; it holds all words."""
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load()
    said = str(caught.value)
    assert "\n" not in said and all(word in said for word in words), said
    return said


# What is a class, and what is a picture


@every_reader
def test_what_tools_leave_behind_is_nothing(reader, tmp_path):
    load, one, _, folder = reader(tmp_path)
    before = load()
    for base in {folder, folder and folder.parent, one.parent} - {None}:
        for left in (".ipynb_checkpoints/1-checkpoint.png", "__MACOSX/._1.png", "@eaDir/1.png/SYNO.png", "._1.png"):
            write(picture(9), base / left)
        for left in (".DS_Store", "Thumbs.db", "desktop.ini"):
            (base / left).touch()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        after = load()
    assert (after.class_names, after.train_size, after.digest) == (before.class_names, before.train_size, before.digest)
    listed_by_folder = folder is not None
    assert len(said) == listed_by_folder and all("hidden or made by tools" in str(one.message) for one in said)


@of_classes
def test_every_format_and_sub_folder_is_read(reader, tmp_path):
    load, _, _, folder = reader(tmp_path)
    names = (
        "a.jpg b.JPG c.jpeg d.JPEG e.png f.PNG g.webp h.WebP i.bmp j.tif k.TIFF l.gif m.jfif deep/n.jpg deep/er/o.png"
    )
    for k, name in enumerate(names.split()):
        kind = {"jfif": "JPEG", "tif": "TIFF"}.get(name.rpartition(".")[2].lower(), "")
        write(picture(200 + k), folder / name, **({"format": kind} if kind else {}))
    with warnings.catch_warnings(action="error"):
        data = load()
    assert data.train_size == 8 + 15 and torch.bincount(data.train_labels).tolist() == [19, 4]
    data.num_workers = 0
    assert len(list(data.evaluation_batches(4))) == 1


@pytest.mark.parametrize("reader", (*CLASSES, *MAPS[:3]), ids=lambda reader: reader.__name__)
def test_what_is_left_out_is_counted_in_one_warning(reader, tmp_path):
    load, _, _, folder = reader(tmp_path)
    for name in ("photo.heic", "notes.txt", "archive.zip"):
        (folder / name).touch()
    with pytest.warns(UserWarning) as said:
        load()
    (line,) = {str(one.message) for one in said}
    assert "3 files left out: 3 no pictures by their endings (archive.zip, ...)" in line and "\n" not in line


@pytest.mark.parametrize("reading", ["memory", "files"])
def test_names_outside_ascii_and_equal_folder_names_stay_apart(reading, tmp_path):
    trees = [class_tree(tmp_path / where / "data", ("花", "犬"), train=2, val=1) for where in ("a", "b")]
    write(picture(77), trees[1] / "train" / "花" / "0.png")
    first, second = (load_image_folders(tree, 16, reading) for tree in trees)
    assert first.class_names == second.class_names == ("犬", "花") and first.train_labels.tolist() == [0, 0, 1, 1]
    assert first.name == f"data-{first.digest[:6]}" != second.name == f"data-{second.digest[:6]}"


# How a picture is read


def scored(data):
    """The first scored picture as it was normalised from, 0..255."""
    data.num_workers = 0
    x = next(data.evaluation_batches(1)).images["weak"][0]
    return 255 * (x * torch.tensor(data.std)[:, None, None] + torch.tensor(data.mean)[:, None, None])


def first_of(load, one, reader, image, **options):
    """The first scored picture of a set whose pictures are all this one."""
    for path in one.parents[2].rglob(f"*{one.suffix}") if reader in CLASSES else one.parent.glob(f"*{one.suffix}"):
        write(image, path, format="PNG", **options)
    return scored(load())


grey = np.full((SIDE, SIDE), 51, np.uint8)
clear = np.zeros((SIDE, SIDE, 4), np.uint8)
palette = Image.fromarray(np.full((SIDE, SIDE), 7, np.uint8))
palette.putpalette([0] * 21 + [200, 100, 50])
FLAT = {  # what is stored: the colour it shows
    "grey of 8 bits": (Image.fromarray(grey), (51, 51, 51)),
    "grey of 16 bits": (Image.fromarray(grey.astype(np.uint16) * 257), (51, 51, 51)),
    "grey of 16 bits, white": (Image.fromarray(np.full((SIDE, SIDE), 65535, np.uint16)), (255, 255, 255)),
    "one bit": (Image.fromarray(grey > 0), (255, 255, 255)),
    "palette": (palette, (200, 100, 50)),
    "transparent": (Image.fromarray(clear), (255, 255, 255)),
    "half transparent": (Image.fromarray(clear + np.array([0, 0, 0, 51], np.uint8)), (204, 204, 204)),
    "grey with alpha": (Image.fromarray(clear).convert("LA"), (255, 255, 255)),
}


@pytest.mark.parametrize("kind", FLAT)
@every_reader
def test_a_picture_of_any_mode_has_its_colour(reader, kind, tmp_path):
    load, one, _, _ = reader(tmp_path)
    image, colour = FLAT[kind]
    if reader in (cityscapes, camvid, ade20k, voc2012, segmentation_folders):
        places = {cityscapes: "cityscapes/leftImg8bit/val/aachen", camvid: "camvid/test"}
        places |= {ade20k: "ADEChallengeData2016/images/validation", segmentation_folders: "streets/val/images"}
        for path in (tmp_path / places.get(reader, "VOCdevkit/VOC2012/JPEGImages")).iterdir():
            image.save(path, "PNG")
        found = scored(load())
    else:
        found = first_of(load, one, reader, image)
    wanted = torch.tensor(colour).float()[:, None, None].expand_as(found)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.01)


def test_ink_in_a_jpeg(tmp_path):
    load, one, _, _ = folders_in_memory(tmp_path)
    for path in (tmp_path / "pets").rglob("*.png"):
        Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0)).save(path, "JPEG", quality=95)
    wanted = torch.tensor([255.0, 0, 0])[:, None, None].expand(3, SIDE, SIDE)
    torch.testing.assert_close(scored(load()), wanted, rtol=0, atol=3)


@pytest.mark.parametrize("numbers", [np.int32, np.float32])
@every_reader
def test_32_bits_are_refused(reader, numbers, tmp_path):
    load, one, _, _ = reader(tmp_path)
    Image.fromarray(np.ones((SIDE, SIDE), numbers)).save(one, "TIFF")
    sentence(load, one.name, "whose range of values is not known")


@pytest.mark.parametrize("reader", [folders_in_memory, folders_from_files, segmentation_folders])
def test_pictures_of_12_bits_in_16_are_said_to_be_black(reader, tmp_path):
    load, one, _, _ = reader(tmp_path)
    for path in tmp_path.rglob("*.png"):
        if "masks" not in path.parts:
            Image.fromarray(np.full((SIDE, SIDE), 4000, np.uint16)).save(path)
    with pytest.warns(UserWarning, match="no picture holds a value over 15 of 255; pictures of 16 bits are read as"):
        load()


@pytest.mark.parametrize("reading", ["memory", "files"])
def test_a_phone_picture_is_upright(reading, tmp_path):
    """Stored lying on its side: the upper half of what the phone saw is blue."""
    tree = class_tree(tmp_path / "pets")
    seen = np.zeros((SIDE, SIDE, 3), np.uint8)
    seen[: SIDE // 2, :, 2], seen[SIDE // 2 :, :, 0] = 255, 255
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for path in tree.rglob("*.png"):
        Image.fromarray(np.rot90(seen).copy()).save(path, exif=exif)
    data = load_image_folders(tree, SIDE, reading)
    found = scored(data).round()
    assert found[2, 2].min() > 250 and found[0, 2].max() < 5 and found[0, -3].min() > 250 and found[2, -3].max() < 5


def test_a_mask_decides_how_its_picture_lies(tmp_path):
    tree = tmp_path / "streets"
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    seen = np.asarray(picture(3, 20, 40))  # as its viewer sees it
    for split in ("train", "val"):
        for k, shape in enumerate(((20, 40), (40, 20))):  # a mask drawn on the turned picture, one on the stored
            stored = Image.fromarray(np.rot90(seen).copy())
            write(stored, tree / split / "images" / f"{k}.png", exif=exif)
            write(Image.fromarray(np.indices(shape).sum(0).astype(np.uint8) % 2), tree / split / "masks" / f"{k}.png")
    data = load_segmentation_folders(tree, 16, num_workers=0)
    turned, stored = data.evaluation_batches(1)
    assert turned.images["weak"].shape[2:] == (20, 40) and stored.images["weak"].shape[2:] == (40, 20)
    torch.testing.assert_close(turned.images["weak"][0], stored.images["weak"][0].rot90(-1, (1, 2)))
    write(Image.fromarray(np.zeros((21, 40), np.uint8)), tree / "val/masks/0.png")
    sentence(partial(load_segmentation_folders, tree, 16), "masks/0.png is 21 x 40, its image 20 x 40")


# What cannot be read


@every_reader
def test_a_damaged_picture_is_named_before_anything_is_trained(reader, tmp_path):
    load, one, _, _ = reader(tmp_path)
    one.write_bytes(one.read_bytes()[: one.stat().st_size * 2 // 3])
    sentence(load, one.name, "is damaged or no image")
    one.write_bytes(b"")
    sentence(load, one.name, "is damaged or no image")
    one.write_text("<html>404</html>")
    sentence(load, one.name, "is damaged or no image")


@of_maps
def test_a_damaged_or_missing_label_map_is_named_before_anything_is_trained(reader, tmp_path):
    load, _, label, _ = reader(tmp_path)
    content = label.read_bytes()
    label.write_bytes(content[: len(content) // 2])
    sentence(load, label.name, "is damaged or no image")
    label.unlink()
    sentence(load, label.name, "is missing")


@every_reader
def test_an_enormous_picture_is_named(reader, tmp_path, monkeypatch):
    load, one, label, _ = reader(tmp_path)
    write(picture(0, 100, 100), one, format="PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    sentence(load, one.name, "has more than 8000 pixels, the most that is read")
    if label:
        write(picture(0), one, format="PNG")
        write(Image.new("L", (100, 100)), label)
        sentence(load, label.name, "has more than 8000 pixels")


def test_two_hundred_megapixels(tmp_path):
    load, one, _, _ = folders_from_files(tmp_path)
    Image.new("1", (20000, 10000)).save(one)
    sentence(load, "train/cat/1.png has more than 178956970 pixels, the most that is read; make it smaller")


def test_all_damaged_pictures_are_counted(tmp_path):
    load, one, _, folder = folders_from_files(tmp_path)
    for path in folder.iterdir():
        path.write_bytes(b"")
    sentence(load, "0.png is damaged", "; 3 more of 12 files cannot be used either")


def test_unchanged_files_are_checked_once(tmp_path, monkeypatch):
    from icckd.data import files, pictures

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "remembered", partial(pictures.remembered, seconds=0))
    load, one, _, _ = folders_from_files(tmp_path)
    first, calls = load(), []
    check = files.check_picture
    monkeypatch.setattr(files, "check_picture", lambda path: calls.append(path) or check(path))
    assert load().digest == first.digest and not calls
    os.utime(one, ns=(1, 1))
    assert load().digest == first.digest and len(calls) == 12
    one.write_bytes(one.read_bytes()[: one.stat().st_size // 2])
    sentence(load, one.name, "is damaged")


# Label maps of another numbering


def renumbered(root, folder, table):
    """Rewrites all maps below a folder: the value v becomes table[v]."""
    for path in (root / folder).rglob("*.png"):
        if "images" not in path.parts:
            Image.fromarray(np.asarray(table, np.uint8)[np.array(Image.open(path))]).save(path)


def test_train_ids_called_label_ids(tmp_path):
    load, *_ = cityscapes(tmp_path)
    renumbered(tmp_path, "cityscapes/gtFine", [*range(19), *[255] * 237])
    sentence(load, "cityscapes: the training label maps hold no value over 18, so they are train ids")
    load, *_ = cityscapes(tmp_path)
    renumbered(tmp_path, "cityscapes/gtFine/val", [*range(19), *[5] * 237])
    sentence(load, "cityscapes: the evaluation label maps hold no value over 18, so they are train ids")


def test_reduced_annotations_of_ade20k(tmp_path):
    load, *_ = ade20k(tmp_path)
    renumbered(tmp_path, "ADEChallengeData2016/annotations", [255, *range(255)])
    sentence(load, "holds label 255", "reduced ones (0..149, 255) are shifted by one")
    load, *_ = ade20k(tmp_path)
    renumbered(tmp_path, "ADEChallengeData2016/annotations", [0, *range(255)])
    with pytest.warns(UserWarning, match="ade20k: 1 of 150 classes occur in no training label map .flag."):
        load()


@pytest.mark.parametrize(
    ("reader", "folder", "table", "absent"),
    [
        (voc2012, "VOCdevkit/VOC2012/SegmentationClassAug", [255, *range(255)][:255] + [255], "tvmonitor"),
        (camvid, "camvid/trainannot", [11, *range(255)], "bicyclist"),
    ],
)
def test_maps_shifted_by_one_class_are_worth_a_warning(reader, folder, table, absent, tmp_path):
    load, *_ = reader(tmp_path)
    renumbered(tmp_path, folder, [v if v != 10 or reader is voc2012 else 9 for v in table])
    with pytest.warns(UserWarning, match=f"{reader.__name__}: 1 of .* classes occur in no training .* .{absent}."):
        load()


@of_maps
def test_a_label_of_no_class_and_colours_are_named(reader, tmp_path):
    load, _, label, _ = reader(tmp_path)
    Image.fromarray(np.full((SIDE, SIDE), 200, np.uint8)).save(label)
    if reader is not segmentation_folders:  # without names, 201 classes
        sentence(load, label.name, "holds label 200")
    (tmp_path / "streets").mkdir(exist_ok=True)
    (tmp_path / "streets/classes.txt").write_text("a\nb\nc\n")
    sentence(load, label.name, "holds label 200")
    Image.new("RGB", (SIDE, SIDE)).save(label)
    sentence(load, label.name, "is a RGB image, wanted one channel of class indices")
    Image.new("L", (SIDE, SIDE + 1)).save(label)
    sentence(load, label.name if reader is not camvid else "1.png")


# Constants


def test_constants_in_0_to_255_are_refused_everywhere(tmp_path):
    pictures, labels = torch.zeros(4, 8, 8, 3, dtype=torch.uint8), torch.arange(4) % 2
    maps, names = torch.zeros(4, 8, 8, dtype=torch.uint8), ("a", "b")
    tree = class_tree(tmp_path, train=2)
    (tmp_path / "mask.png").write_bytes(write(mask(0, (0, 1)), tmp_path / "m.png").read_bytes())
    files, pairs = ["train/cat/0.png", "train/dog/1.png"], [("train/cat/0.png", "mask.png")]

    def in_memory(mean, std):
        InMemoryClassification("x", pictures, labels, pictures, labels, names, mean, std, {})

    def maps_in_memory(mean, std):
        InMemorySegmentation("x", pictures, maps, pictures, maps, names, colour_map(2), mean, std, {})

    def from_files(mean, std):
        kind = type("Own", (ClassificationFiles,), {"mean": mean, "std": std})
        kind("x", tree, files, [0, 1], files, [0, 1], names, {"crop": 8}, 9)

    def maps_from_files(mean, std):
        kind = type("Own", (SegmentationFiles,), {"mean": mean, "std": std})
        kind("x", tree, pairs, pairs, label_table({0: 0, 1: 1}), names, colour_map(2), {"crop": 8})

    def to_bgr(mean, std):
        to_bgr_mean(torch.zeros(1, 3, 2, 2), mean, std)

    for made in (in_memory, maps_in_memory, from_files, maps_from_files, to_bgr):
        made((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
        sentence(partial(made, (123.7, 116.3, 103.5), STD), "mean: wanted three numbers in 0..1")
        sentence(partial(made, MEAN, (58.4, 57.1, 57.4)), "std: wanted three numbers above 0 and at most 1")
        sentence(partial(made, MEAN, (0.2, 0, 0.2)), "std: wanted")
        sentence(partial(made, 0.5, STD), "mean: wanted three numbers")


# What every data set publishes


@every_reader
def test_what_records_will_hold(reader, tmp_path):
    load, *_ = reader(tmp_path)
    for data in (load(), held_out(load(), 0.3)):
        text = json.dumps([data.class_names, data.image_size, data.mean, data.std, data.name, data.evaluation_split])
        names, size, mean, std, _, _ = json.loads(text)
        assert len(names) == data.num_classes and len(size) == 2 and len(mean) == len(std) == 3


@every_reader
def test_the_digest_changes_with_a_limit_a_file_and_what_is_held_out(reader, tmp_path):
    load, one, label, _ = reader(tmp_path)
    first = load()
    limited, held = load(train_limit=3), held_out(first, 0.3)
    digests = [first.digest, limited.digest, held.digest, held_out(first, 0.3, seed=1).digest]
    assert load().digest == first.digest and held_out(load(), 0.3).digest == held.digest
    write(picture(99), one)
    digests.append(load().digest)
    if label:
        write(Image.open(label).transpose(Image.Transpose.FLIP_LEFT_RIGHT), label)
        digests.append(load().digest)
    if reader is camvid:
        digests.append(load(evaluation_split="val").digest)
        assert digests[-1] == digests[-2], "the tiny splits hold the same pictures"
        digests.pop()
    assert len(set(digests)) == len(digests)
    assert (first.evaluation_split, held.evaluation_split) == ("test" if reader is camvid else "val", "held-out")


@every_reader
def test_what_is_held_out_was_trained_on_before_and_is_not_now(reader, tmp_path):
    load, *_ = reader(tmp_path)
    data = load()
    data.num_workers = 0
    part = held_out(data, 0.25)
    count = 2 if reader in CLASSES else 1
    assert (part.train_size, part.evaluation_size) == (data.train_size - count, count)
    if hasattr(data, "train_files"):
        rows = lambda files: {tuple(row) for row in files.tolist()}
        assert rows(part.train_files) | rows(part.evaluation_files) == rows(data.train_files)
        assert not rows(part.train_files) & rows(part.evaluation_files)
    labels = torch.cat([batch.labels.flatten() for batch in part.evaluation_batches(2)])
    assert len(labels) == count * (1 if reader in CLASSES else SIDE**2)
    crop = {} if reader in (folders_in_memory, folders_from_files) else {"augmentation": {"crop": 16}}
    batch = next(part.train_batches(2, 0, 0, **crop))
    assert batch.images["weak"].isfinite().all() and int(batch.indices.max()) < part.train_size


# Quiet reading


def test_workers_print_no_warning(tmp_path):
    class_tree(tmp_path / "pets")
    segmentation_folders(tmp_path)
    script = f"""
from icckd.data.image_folders import load_image_folders
from icckd.data.segmentation_folders import load_segmentation_folders

if __name__ == "__main__":
    pets = load_image_folders({str(tmp_path / "pets")!r}, 16, "files")
    streets = load_segmentation_folders({str(tmp_path / "streets")!r}, 16)
    for data, views in ((pets, ("weak", "strong")), (streets, ("weak",))):
        data.num_workers = 2
        for epoch in (0, 1):
            list(data.train_batches(2, 0, epoch, views=views)), list(data.evaluation_batches(2))
    print("read")
"""
    (tmp_path / "read.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "-W", "always", str(tmp_path / "read.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "read\n" and "Warning" not in done.stderr, done.stderr[-2000:]


def test_nothing_is_left_in_the_folders(tmp_path):
    """Reading writes nothing beside the pictures."""
    load, *_ = folders_from_files(tmp_path)
    before = sorted(Path(tmp_path).rglob("*"))
    load()
    assert sorted(Path(tmp_path).rglob("*")) == before
