"""Reports of made-up records: what stands first, verdicts, order, bold, what is said once, where numbers come from."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from icckd.reporting import blocks, claims, printed, reports, tables
from icckd.reporting.tables import Results, write_example
from icckd.runs.profiles import find_profile
from icckd.runs.sweep import without_weight

pytestmark = pytest.mark.xdist_group("reports")  # one process: the tests share made-up records
MINE = """about = "made-up records"
seeds = [0, 1, 2]

[[blocks]]
task = "classification"
dataset = "digits100"
teacher = "resnet20"
student = "resnet8"
recipe = "quick_classification"
teacher_recipe = "quick_classification"
methods = ["none", "kd", "fitnet", "at", "sp", "pkt", "crd", "dkd", "dist", "ickd_c+kd"]
"""
SHORT = next(block for block in find_profile("short").blocks if block.student == "resnet20")
GAINS = {  # over the plain student, a seed each: known signs against it and against KD
    "none": (0.0, 0.2, -0.2),
    "kd": (2.0, 2.3, 1.8),
    "ickd_c+kd": (3.0, 3.4, 2.7),  # +1.0, +1.1, +0.9 over KD
    "dist": (2.6, 3.6, 1.0),  # too unsteady to be told from ICKD-C or KD
    "at": (0.4, -0.3, 0.2),  # not decided against the plain student
    "sp": (-3.0, -2.7, -3.2),
    "pkt": (-9.0, -8.8, -9.3),
    "pkt:weight=300": (2.1, 2.2, 1.9),
}


def made_up(folder, seeds=3, block=None, profile="", gains=GAINS, plain=60.0):
    """Results of made-up records in one block, by default of a profile in a file of its own."""
    asked = profile or str(folder / "mine.toml")
    (folder / "mine.toml").write_text(MINE)
    block = block or find_profile(asked).blocks[0]
    place = {"profile": find_profile(asked).name}
    write_example(folder, block, "teacher", 0, plain + 12, **place)
    for method, by_seed in gains.items():
        for seed in range(seeds):
            right = np.arange(500) < 5 * (plain + by_seed[seed])
            held = {"right_bits": np.packbits(right), "samples": np.array(500)}
            fields = {"seconds": {"train": 100.0, "prepare": 0.0, "teacher": 40.0}, "saved_mib": 10.0}
            fields |= {"outcome": {"agreement": 70 + by_seed[seed]}}
            fields |= {"history": [{"epoch": 1, "metrics": {"top1": 50.0}}]}
            write_example(folder, block, method, seed, plain + by_seed[seed], held, **place, **fields)
    return Results(asked, folder, folder)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """(results, table) of three seeds."""
    results = made_up(tmp_path_factory.mktemp("three"))
    return results, blocks.block_table(results, "example", results.profile.blocks[0])


def test_a_block_is_sorted_by_score_with_known_signs(three):
    _, frame = three
    run = frame[frame["n"] > 0]
    assert run["method"].tolist() == ["teacher", "ickd_c+kd", "dist", "pkt:weight=300", "kd", "at", "none", "sp", "pkt"]
    assert run["measured_mean"].is_monotonic_decreasing
    signs = run.set_index("method")[["plain_sign", "rival_sign"]].fillna("")
    assert signs.loc["ickd_c+kd"].tolist() == ["holds", "holds"] and signs.loc["at", "plain_sign"] == "not decided"
    assert signs.loc["pkt:weight=300"].tolist() == ["holds", "not decided"], "the swept weight beside the published"
    assert signs.loc["pkt"].tolist() == signs.loc["sp"].tolist() == ["does not hold", "does not hold"]
    row = run.set_index("method").loc["ickd_c+kd"]
    half = 4.302653 * 0.1 / math.sqrt(3)  # t(0.975, 2) times the standard error of 1.0, 1.1, 0.9
    assert row["rival_mean"] == pytest.approx(1.0) and row["rival_low"] == pytest.approx(1 - half, abs=1e-5)
    assert row["rival_p"] == 0.25 and row["rival_ahead"] == 1.0 and row["plain_seeds"] == 3


def test_the_best_group_is_bold_and_options_stay_in_names(three):
    results, frame = three
    view = blocks.block_view(results, results.profile.blocks[0], frame)
    text = repr(view)
    bold = re.findall(r"^\| \*\*(.+?)\*\*", text, re.M)
    assert bold == ["ICKD-C", "DIST"], "what cannot be told from the best"
    assert "| **ICKD-C** | **63.03 ± 0.35 (3)** | ▲ +3.03" in text
    assert "| PKT (weight 300) | " in text and "| PKT | " in text and "| AT | 60.10 ± 0.36 (3) | ○ +0.10" in text
    assert not re.search(r"\| PKT \(weight 300\) \|.*▼", text)


def test_the_answer_has_sign_size_and_certainty(three):
    results, frame = three
    said = blocks.block_answer(results, results.profile.blocks[0], frame, ("ickd_c+kd",)).text
    assert said.startswith("**digits100 (embedded), ResNet20 → ResNet8** (16 epochs, 3 seeds, a stand-in")
    assert "**ICKD-C gains 1.00 [0.75, 1.25] points over KD**: the papers' order (+1.16) holds at this budget." in said
    assert "Best is **ICKD-C** with 63.03 ± 0.35 % top-1" in said and said.endswith("; not told from it: DIST.")
    lost = blocks.block_answer(results, results.profile.blocks[0], frame, ("pkt",)).text
    assert "PKT loses 11.07" in lost and "the papers' order (−0.21) holds at this budget" in lost, "printed below KD"
    open_ = blocks.block_answer(results, results.profile.blocks[0], frame, ("pkt:weight=300",)).text
    assert "PKT (weight 300) and KD are not told apart" in open_ and "3 seeds could have shown" in open_


@pytest.mark.parametrize("seeds", [1, 2])
def test_below_three_seeds_one_sentence_stands_above_the_table(tmp_path, seeds):
    results = made_up(tmp_path, seeds=seeds)
    frame = blocks.block_table(results, "example", results.profile.blocks[0])
    said, view = (
        blocks.block_answer(results, results.profile.blocks[0], frame, ("ickd_c+kd",)).text,
        repr(blocks.block_view(results, results.profile.blocks[0], frame)),
    )
    assert said.count("nothing, so this describes and gives no verdict") == 1 and "describes" not in view
    assert not re.search("[▲▼○]|descriptive|undecided|not decided", said + view) and "**" not in view
    assert "[95 % over evaluation samples]" in view and not (frame["best_group"].any() or frame["unbeaten"].any())
    rows = claims.comparisons_table(
        results, "x", results.profile.blocks, {"classification": ("ickd_c+kd",)}, {"classification": ("kd", "at")}
    )
    assert repr(claims.comparisons_view(rows)).count("Fewer than three seeds") == 1


def test_what_was_not_run_is_said_once_with_its_line_and_cost(three, tmp_path):
    results, frame = three
    notes = blocks.block_view(results, results.profile.blocks[0], frame).notes
    [line] = [note for note in notes if note.startswith("Not run: ")]
    assert "FitNet" in line and "DKD" in line and "AT" not in line.partition(";")[0]
    assert re.search(
        r'`make reproduce PROFILE=\S+mine.toml PAIRS=digits100-\S+ METHODS="fitnet .*"` would: \d+ networks', line
    )
    assert (
        "multiply-adds a second" in line
        and repr(blocks.block_view(results, results.profile.blocks[0], frame)).count("ot run") == 1
    )
    empty = Results("quick", tmp_path, tmp_path)
    table = printed.published_table(empty, "ickd_cifar100")
    page = repr(printed.published_view(table))
    assert page.count("Nothing of this table was run here") == 1 and "not run" not in page and "71.69" in page
    assert page.count("`make reproduce PROFILE=paper PAIRS=") == 1 and "GPU-hours" in page
    rows = claims.claims_table(empty, "x", claims.claims_from_table("ickd_cifar100", "ickd_c+kd", "ICKD-C", "here"))
    page = repr(claims.claims_view(rows))
    assert page.count("Nothing was run") == 1 and page.count("ICKD-C beats ") == len(rows) >= 10


def test_published_cells_fill_one_by_one_and_options_stay_apart(tmp_path):
    block, _ = printed.published_block("ickd_cifar100", "cifar100", "vgg13", "vgg8", "kd")
    write_example(tmp_path, block, "kd", 0, 72.5, profile="paper")
    write_example(tmp_path, block, "kd:weight=1.8", 0, 73.5, profile="paper")
    table = printed.published_table(Results("paper", tmp_path, tmp_path), "ickd_cifar100")
    assert table.query("method == 'kd'")["n"].sum() == 1 and table["published"].notna().sum() == 97
    extra = table[table["title"].str.startswith("+ ")]
    assert extra["title"].tolist() == ["+ KD (weight 1.8)"] and extra["published"].isna().all()
    page = repr(printed.published_view(table))
    assert "72.98 / 72.50 (1) stale (+0.48)" in page and page.count("Not all of this table was run here") == 1


CLAIMS = {  # by, ICKD-C minus KD a seed: sign, size
    "as claimed": (1.0, (0.9, 1.0, 1.1), "holds", "as claimed"),
    "smaller": (3.0, (0.9, 1.0, 1.1), "holds", "smaller"),
    "larger": (0.2, (0.9, 1.0, 1.1), "holds", "larger"),
    "opposite": (1.0, (-0.9, -1.0, -1.1), "does not hold", "smaller"),
    "open": (1.0, (1.9, -1.0, 0.5), "not decided", "as claimed"),
    "no size": (math.nan, (0.9, 1.0, 1.1), "holds", ""),
    "two seeds": (1.0, (0.9, 1.0), "not decided", "not decided"),
    "nothing": (1.0, (), "", ""),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_a_claim_has_a_sign_and_a_size_that_do_not_contradict(tmp_path, case):
    by, differences, sign, size = CLAIMS[case]
    block, _ = printed.published_block("ickd_cifar100", "cifar100", "vgg13", "vgg8", "kd")
    for seed, difference in enumerate(differences):
        write_example(tmp_path, block, "kd", seed, 72.0, profile="paper")
        write_example(tmp_path, block, "ickd_c+kd", seed, 72.0 + difference, profile="paper")
    claim = claims.Claim("ICKD-C beats KD", "ickd_cifar100", "ickd_c+kd", "kd", by, (("vgg13", "vgg8"),))
    row = claims.claims_table(Results("paper", tmp_path, tmp_path), "x", [claim]).iloc[0]
    assert (row["sign"], row["size"], row["seeds"]) == (sign, size, len(differences))
    assert row["by_table"] == pytest.approx(73.88 - 72.98)


def test_every_printed_comparison_of_two_recorded_methods_has_a_verdict(tmp_path):
    """As many as the profiles' methods give, each with interval, seeds and what they could have shown."""
    spread = {m: tuple(k / 2 + d for d in (0.0, 0.1, -0.1)) for k, m in enumerate(SHORT.methods) if m != "none"}
    results = made_up(tmp_path, block=SHORT, profile="short", gains={"none": (0.0, 0.1, -0.1), **spread}, plain=50.0)
    frame = claims.printed_comparisons(results, "orders", [SHORT])
    assert len(frame) >= 40 and (frame["printed"] > 0).all() and (frame["seeds"] == 3).all()
    assert frame[["low", "high", "could_show"]].notna().all().all() and not frame.duplicated(["method", "versus"]).any()
    assert frame["sign"].isin(["holds", "does not hold"]).sum() >= 20
    pairs = {frozenset(pair) for pair in zip(frame["method"], frame["versus"])}
    assert len(pairs) == len(frame) and frozenset(("ickd_c+kd", "kd")) in pairs and frozenset(("mlld", "kd")) in pairs
    sentence = claims.orders_sentence(frame)
    counts = [int(n) for n in re.findall(r"\d+", sentence)]
    assert counts[0] == len(frame) == sum(counts[1:])


def test_quick_and_short_run_enough_printed_comparisons():
    """The claims cover what the profiles train: pairs of methods that one table prints, at least 20 on real data.
    `quick` has few: it is bound to 20 minutes and trains each student to the end."""
    for profile in ("quick", "short"):
        found = 0
        for block in find_profile(profile).blocks:
            methods = list(dict.fromkeys(map(without_weight, block.methods)))
            pairs = [(a, b) for i, a in enumerate(methods) for b in methods[i + 1 :]]
            found += sum(bool(printed.printed_gap(a, b, block.task)[1]) for a, b in pairs)
        assert found >= {"quick": 6, "short": 20}[profile], profile


def test_another_weight_stands_for_the_published_one_until_that_is_run(tmp_path):
    block = find_profile("quick").blocks[0]
    own = {"classification": ("ickd_c+kd",)}

    def compared(scores):
        for method, score in scores.items():
            for seed in range(3):
                write_example(tmp_path, block, method, seed, score + seed / 10)
        results = tables.Results("quick", tmp_path, tmp_path)
        frame = claims.printed_comparisons(results, "orders", [block])
        frame = frame[frame["method"].str.startswith("ickd_c+kd") & (frame["versus"] == "kd")]
        return list(frame["method"]), blocks.answers(
            results, blocks.block_tables(results, ("classification",)), own
        ).text

    names, said = compared({"teacher": 95, "none": 80, "kd": 90, "ickd_c+kd:weight=0.25": 92})
    assert names == ["ickd_c+kd:weight=0.25"] and "ICKD-C (weight 0.25) gains 2" in said, said
    names, said = compared({"ickd_c+kd": 91})
    assert names == ["ickd_c+kd"] and "ICKD-C gains 1" in said, said


def test_a_profile_may_be_a_file(three):
    results, frame = three
    mine = results.folder.parent / "mine.toml"
    assert results.folder.name == "mine" and len(results.records) == 1 + 3 * len(GAINS)
    assert f"PROFILE={mine} " in " ".join(blocks.block_view(results, results.profile.blocks[0], frame).notes)
    said = reports.answers_text(str(mine), str(mine.parent))
    assert str(results.folder / "reports") in said and "cwd_supplement" not in said, "no block of its task"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The ICKD report of made-up records, as `make report` writes it."""
    folder = tmp_path_factory.mktemp("rendered")
    reports.render(made_up(folder).asked, str(folder), ["ickd"])
    return folder / "mine"


def test_a_report_answers_first_and_shows_no_code(rendered):
    path = rendered / "reports" / "ickd.ipynb"
    assert path.stat().st_size < 300_000
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all("".join(cell["source"]) == "" for cell in code), "imports, loading and calls stand in nbs/papers"
    said = "".join(code[0]["outputs"][0]["data"]["text/markdown"])
    assert "ICKD-C gains 1.00 [0.75, 1.25] points over KD" in said and cells.index(code[0]) == 1
    shown = ["".join(o["data"].get("text/html", "")) for o in code[1]["outputs"]]
    assert ">top-1, %</th>" in shown[1] and "image/png" in code[1]["outputs"][2]["data"]
    text = path.read_text()
    assert "descriptive" not in text and text.count("not run") == 0


def test_every_number_of_its_tables_comes_from_the_records_it_names(rendered):
    numbers = 0
    for path in sorted((rendered / "tables").glob("*.csv")):
        frame = pd.read_csv(path)
        if {"records", "measured_mean", "metric", "n"} <= set(frame):
            for _, row in frame[frame["n"] > 0].iterrows():
                mean, sd, n = tables.recompute(row, rendered / "records")
                assert (mean, n) == (pytest.approx(row["measured_mean"], abs=1e-9), row["n"]), path.name
                assert sd == pytest.approx(row["measured_sd"], abs=1e-9, nan_ok=True)
                numbers += 1
    assert numbers >= 2 * len(GAINS)


def test_the_end_of_a_batch_says_what_was_found_and_where_to_look(rendered, tmp_path, capsys):
    reports.main(["compare", "--profile", f"{rendered}.toml", "--results", str(rendered.parent)])
    said = capsys.readouterr().out
    assert (
        "ICKD-C gains 1.00 [" in said.replace("\n  ", " ")
        and "**" not in said
        and f"reports: {rendered}/reports/" in said
    )
    with pytest.raises(SystemExit, match="icckd: PROFILE 'quik': did you mean quick"):
        reports.main(["compare", "--profile", "quik", "--results", str(tmp_path)])


@pytest.mark.parametrize("name", [*reports.PAPERS])
def test_papers_hide_what_only_loads(name):
    cells = [
        c for c in json.loads((ROOT / f"nbs/papers/{name}.ipynb").read_text())["cells"] if c["cell_type"] == "code"
    ]
    tagged = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1
    for cell in cells:
        text = "".join(cell["source"])
        assert cell in tagged or text.startswith(("#| hide\n", "#| echo: false\n")), text[:80]
