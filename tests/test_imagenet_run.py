"""A whole ImageNet run, on a tiny tree in the official layout: teacher, students, records."""

import numpy as np
import pytest
from PIL import Image

from icckd.runs.pair import distil_pair
from icckd.runs.parameters import RunError
from icckd.runs.run import open_run


def write_imagenet(root):
    """Three classes with four training and two validation pictures each."""
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for wnid in ("n01440764", "n01443537", "n01484850"):
            folder = root / "imagenet" / split / wnid
            folder.mkdir(parents=True)
            for k in range(count):
                Image.fromarray(random.integers(0, 256, (*random.integers(40, 80, 2), 3)).astype(np.uint8)).save(
                    folder / f"{wnid}_{k}.JPEG"
                )
    return root


PARAMETERS = {
    "dataset": "imagenet",
    "teacher": "resnet34",
    "student": "resnet18",
    "methods": "none kd ickd_c",
    "teacher_recipe": "imagenet_mdistiller",
    "recipe": "imagenet_mdistiller",
    "epochs": 1,
    "teacher_epochs": 1,
    "batch_size": 4,
}


def test_a_pair_is_trained_and_recorded(tmp_path):
    places = {
        "data_root": str(write_imagenet(tmp_path)),
        "results": str(tmp_path / "results"),
        "work": str(tmp_path / "results"),
    }
    records = distil_pair(open_run("classification", **PARAMETERS, **places), say=lambda line: None)
    assert [records[m]["status"] for m in ("none", "kd", "ickd_c")] == ["ok"] * 3, [
        r["error"] for r in records.values()
    ]
    for record in records.values():
        assert set(record["last"]) == {"top1"} and record["train_size"] == 12 and record["split"] == "val"
        assert record["recipe_values"]["learning_rate"] == 0.2 and record["recipe_values"]["schedule"] == "steps"


def test_without_the_data_it_says_what_to_place_where(tmp_path):
    with pytest.raises(
        RunError, match=r"imagenet: .*train is missing; place the official tree there: train/WNID/\*.JPEG"
    ):
        open_run("classification", **PARAMETERS, data_root=str(tmp_path))
