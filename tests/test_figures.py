"""Every figure keeps to what a reader needs: large print, nothing that collides, colours for all eyes."""

import io
import re
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from colorspacious import cspace_convert, deltaE
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image

from icckd.losses.methods import METHODS
from icckd.reporting import (
    channel_figures,
    curve_figures,
    feature_figures,
    logit_figures,
    score_figures,
    segmentation_figures,
    style,
)
from icckd.reporting.blocks import block_table
from icckd.reporting.panels import Panels, evaluation_pictures
from icckd.reporting.tables import Results, write_example
from icckd.runs.profiles import find_profile

pytestmark = pytest.mark.xdist_group("figures")  # one process: drawn once for all tests
COLOURS = [style.ORANGE, style.SKY, style.GREEN, style.BLUE, style.VERMILLION, style.PURPLE, style.BLACK, style.GREY]
CLASSES, SCENES = (next(b for b in find_profile("quick").blocks if b.task == task) for task in METHODS)


def arrays(task, seed, method):
    """What a run leaves beside its record, made up: students resemble their teacher, ICKD-C most after its adapter."""
    random, common = np.random.default_rng(seed), np.random.default_rng(9)
    near = lambda shape, noise: (2 * common.normal(size=shape) + noise * random.normal(size=shape)).astype(np.float16)
    noise = 0.0 if method == "teacher" else 0.5
    if task == "segmentation":
        predicted = np.kron(random.integers(0, 11, (4, 6, 6)), np.ones((1, 16, 16))).astype(np.uint8)
        return {"predicted": predicted, "channels": near((8, 13, 13), noise), "indices": np.arange(4)}
    held = {"logits": near((64, 100), noise), "last": near((4, 32, 8, 8), 4 * noise), "indices": np.arange(64)}
    return held | ({"last_adapted": held["last"]} if method.startswith("ickd_c") else {})


METHODS_SHOWN = {
    "classification": "none kd fitnet at sp vid rkd pkt crd dkd dist ickd_c ickd_c+kd:weight=0.25 "
    "mlld.weak_view:weight=0.3 mlld.as_intended kd:temperature=2",
    "segmentation": "none pixelwise at pairwise ifvd.alone cwd:weight=0.9 cwd.features ickd_s ickd_s.grid1",
}


def make_results(folder, seeds):
    """Records of both tasks: methods with options, a failure by 40 points, costs from none to fivefold."""
    random = np.random.default_rng(0)
    for block in (CLASSES, SCENES):
        methods, metric = METHODS_SHOWN[block.task].split(), "top1" if block is CLASSES else "miou"
        write_example(folder, block, "teacher", 0, 72.0, arrays(block.task, 0, "teacher"))
        for k, method in enumerate(methods):
            for seed in range(seeds):
                score = (20.0 if method in ("pkt", "pairwise") else 60 + 9 * k / len(methods)) + random.normal()
                extra = {"history": [{"epoch": e, "metrics": {metric: score - 40 / e}} for e in range(1, 9)]}
                extra |= {"seconds": {"train": 100 + (400 if method == "crd" else 3 * k), "prepare": 0.0}}
                write_example(folder, block, method, seed, score, arrays(block.task, seed, method), **extra)
    return Results("quick", folder, folder)


def pair_scores(count):
    """Made-up scores of seven pairs."""
    names, random = list(METHODS["classification"])[:count], np.random.default_rng(1)
    rows = {f"pair {i}": {m: 60 + 0.3 * k + random.normal() for k, m in enumerate(names)} for i in range(7)}
    return pd.DataFrame.from_dict(rows, orient="index")


def draw(results):
    """Name -> figure of every public figure function, drawn as the reports draw them."""
    found = {}
    for block, own in (
        (CLASSES, ("ickd_c+kd", "mlld.weak_view", "mlld.as_intended")),
        (SCENES, ("cwd", "cwd.features")),
    ):
        frame = block_table(results, "x", block)
        found[f"score, {block.task}"] = score_figures.score_figure(results, block, frame)
        chosen = curve_figures.curve_methods(frame, block, own)
        found[f"curve, {block.task}"] = curve_figures.curve_figure(results, block, chosen)
    panels = Panels(results, CLASSES, ("none", "ickd_c+kd", "fsp", "teacher"))  # FSP was not run
    pictures = evaluation_pictures(CLASSES.dataset, panels.samples(3))
    maps = {title: x[:3] for title, x in feature_figures.feature_panels(panels).items()}
    for first in (0, 16):
        found[f"feature, {first}"] = feature_figures.feature_figure(maps, slice(first, first + 16), pictures)
    panels = Panels(results, CLASSES, ("kd", "mlld.weak_view", "fsp", "teacher"))
    for kind in ("input", "category"):
        gaps = logit_figures.correlation_panels(panels, kind)
        found[f"correlation, {kind}"] = logit_figures.correlation_figure(gaps, kind)
    panels = Panels(results, SCENES, ("none", "cwd", "dsd", "teacher"))  # DSD was not run
    maps, channels = panels.of("predicted"), panels.of("channels")
    here = evaluation_pictures(SCENES.dataset, panels.samples(4), (96, 96))
    for name, pictures in (("with pictures", here), ("without", "no data")):
        shown = channel_figures.channels_to_show(pictures, channels["teacher"])
        figure = segmentation_figures.segmentation_figure(pictures, maps, SCENES.dataset)
        found[f"segmentation, {name}"] = figure
        found[f"channel, {name}"] = channel_figures.channel_figure(pictures, channels, shown, SCENES.dataset)
    return found | {f"ranks of {n}": score_figures.rank_figure(pair_scores(n), "classification") for n in (3, 14)}


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    return draw(make_results(tmp_path_factory.mktemp("results"), 3))


def words(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text().strip()]


def test_figures_are_readable(figures):
    """Texts cover neither texts nor points and stay inside; at least 7 points of print, 5 inches of width."""
    faults = {name: style.figure_faults(figure) for name, figure in figures.items()}
    assert len(faults) == 14 and {name: found for name, found in faults.items() if found} == {}


def test_signs_are_real_and_axes_name_their_quantity(figures):
    """No +-, -> or hyphen for a minus; a number's axis says what it is."""
    for name, figure in figures.items():
        ascii_signs = [text for text in words(figure) if re.search(r"\+-|->|(?<![\w\]])-\d", text)]
        assert not ascii_signs, f"{name}: {ascii_signs}"
        for axes in figure.axes:
            numbers = [label.get_text() for label in axes.get_xticklabels() if re.search(r"\d", label.get_text())]
            assert not numbers or axes.get_xlabel() or "ranks" in name, f"{name}: {numbers} of what?"


def test_nothing_is_drawn_for_what_was_not_run(figures):
    titles = {name: " ".join(words(figure)) for name, figure in figures.items()}
    recorded = {name: text for name, text in titles.items() if not name.startswith("ranks")}
    assert not [name for name, text in recorded.items() if "not run" in text or re.search(r"\b(FSP|DSD)\b", text)]
    one_line = {name: " ".join(text.split()) for name, text in recorded.items()}
    assert "ICKD-C (weight 0.25), before adapter" in one_line["feature, 0"]
    assert "ICKD-C (weight 0.25), after adapter" in one_line["feature, 16"]
    assert "AT" in titles["score, segmentation"] and "CRD" in titles["score, classification"]


def test_one_seed_without_times(tmp_path):
    """What one seed cannot have (a band, intervals, a seed's dots) is not drawn, nor gain against an unknown time."""
    results, times = make_results(tmp_path, 1), ["extra_time", "extra_time_sd"]
    frame = block_table(results, "x", CLASSES)
    one, untimed = (
        score_figures.score_figure(results, CLASSES, f) for f in (frame, frame.assign(**dict.fromkeys(times)))
    )
    curve = curve_figures.curve_figure(results, CLASSES, ["none", "kd", "ickd_c+kd"])
    assert [style.figure_faults(figure) for figure in (one, untimed, curve)] == [[], [], []]
    assert (len(one.axes), len(untimed.axes)) == (2, 1)
    assert not re.search("±|sd|seeds|95 %", " ".join(words(one) + words(curve)))


@pytest.mark.parametrize("name", ["score, classification", "feature, 0", "segmentation, with pictures"])
def test_pictures_are_small_and_keep_their_colours(figures, name):
    """PNG of at most 256 colours: those of the markers are among them."""
    content = style.png_bytes(figures[name])
    image = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert len(content) < 70_000 and image.shape[1] >= 100 * style.LEAST_WIDTH
    lines = [line for axes in figures[name].axes for line in axes.lines if line.get_marker() in tuple("osD^<v")]
    found = np.unique(image.reshape(-1, 3), axis=0) / 255
    lost = {line.get_color() for line in lines if np.abs(found - to_rgb(line.get_color())).max(1).min() > 0.04}
    assert not lost and (lines or "score" not in name)


def test_same_records_same_bytes(tmp_path):
    """Drawn twice from the same records, PNG and SVG are equal, and name neither a date nor a program."""
    results, files = make_results(tmp_path, 1), []
    for name in ("a", "b"):
        figure = score_figures.score_figure(results, CLASSES, block_table(results, "x", CLASSES))
        style.save_figure(results, name, figure)
        files.append([(results.folder / "figures" / f"{name}.{kind}").read_bytes() for kind in ("png", "svg")])
    assert files[0] == files[1]
    assert b"ResNet20" in files[0][1] and not re.search(rb"<dc:date|20\d\d-\d\d|Matplotlib v", files[0][1])


@pytest.mark.parametrize("sight", ["full", "protanomaly", "deuteranomaly", "tritanomaly"])
def test_colours_stay_apart(sight):
    """CAM02-UCS distance of any two colours of the figures, seen as Machado et al. (2009) compute it."""
    seen = [np.array(to_rgb(colour)) for colour in COLOURS]
    if sight != "full":
        space = {"name": "sRGB1+CVD", "cvd_type": sight, "severity": 100}
        seen = [np.clip(cspace_convert(colour, space, "sRGB1"), 0, 1) for colour in seen]
    distances = [deltaE(a, b, input_space="sRGB1") for a, b in combinations(seen, 2)]
    assert min(distances) > 10  # a just noticeable difference is about 1; two of the old magentas were 3 apart


def test_families_have_markers_of_their_own():
    markers = [marker for marker, _ in style.FAMILIES.values()]
    assert len(set(markers)) == len(markers)
    assert {colour for _, members in style.FAMILIES.values() for colour in members.values()} <= set(COLOURS[:6])
