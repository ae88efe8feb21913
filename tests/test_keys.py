"""Which change of code makes which record out of date."""

import shutil

import pytest
from code_digests import digests_of, fresh_processes
from conftest import ROOT

from icckd.data.create import load_dataset
from icckd.data.normalisation import with_normalisation
from icckd.training.recipes import RECIPES

pytestmark = pytest.mark.xdist_group("keys")  # one process: the tests share a fixture that is dear


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """(a copy of the library, its digests, a function that digests it again)."""
    folder = tmp_path_factory.mktemp("library")
    shutil.copytree(ROOT / "icckd", folder / "icckd", ignore=shutil.ignore_patterns("__pycache__"))
    with fresh_processes() as processes:
        digests = lambda: processes.apply(digests_of, (folder,))
        yield folder, digests(), digests


def changed_by(library, module, edit):
    """The methods whose digest an edit of a module changes; the file is put back."""
    folder, before, digests = library
    path = folder / "icckd" / module
    source = path.read_text()
    edited = edit(source)
    assert edited != source, "the edit did nothing"
    path.write_text(edited)
    try:
        after = digests()
    finally:
        path.write_text(source)
    return {name for name in before if before[name] != after[name]}


def test_a_loss_changes_the_students_that_used_it_and_no_others(library):
    assert changed_by(
        library,
        "losses/classification/kd.py",
        swap("temperature**2", "temperature**3"),
    ) == {"kd", "ickd_c+kd"}
    assert changed_by(
        library,
        "losses/classification/at.py",
        lambda s: s + "\nprint()\n",
    ) == {"at"}


ALL = {"none", "kd", "at", "ickd_c+kd"}


def swap(old, new):
    """An edit that puts `new` in the place of `old`."""
    return lambda source: source.replace(old, new, 1)


@pytest.mark.parametrize(
    "module, old, new",
    [
        ("training/step.py", "student.optimizer.step()", "student.optimizer.step(None)"),
        ("training/trainer.py", "while epoch < group.recipe.epochs", "while epoch <= group.recipe.epochs"),
        ("training/preparation.py", "student.prepared = True", "student.prepared = 1"),
        ("training/recipe.py", "base * warm *", "warm * base *"),
    ],
)
def test_the_training_changes_all(library, module, old, new):
    assert changed_by(library, module, swap(old, new)) == ALL


@pytest.mark.parametrize(
    "module, old, new",
    [
        ("training/watching.py", "epoch {epoch + 1}/", "after epoch {epoch + 1} of "),
        ("training/watching.py", "time.perf_counter()", "time.monotonic()"),
        ("training/checkpoints.py", "step-{step:09d}", "at-{step:09d}"),
        ("training/trainer.py", "            watch.stepped()\n", ""),
        ("training/trainer.py", "no student could be trained", "nobody could be trained"),
        ("training/step.py", "the criterion returned no term to minimise", "no term came"),
    ],
)
def test_what_only_watches_changes_nothing(library, module, old, new):
    assert changed_by(library, module, swap(old, new)) == set()


@pytest.mark.parametrize("module", ["losses/classification/kd.py", "training/trainer.py", "core/checks.py"])
def test_prose_changes_nothing(library, module):
    def reword(source):
        first = source.index('"')
        return (
            "# a comment\n"
            + source[: first + 3].replace('"""', '"""Other words. ')
            + source[first + 3 :]
            + '\n\n# another comment\n"A string that stands alone."\n'
        )

    assert changed_by(library, module, reword) == set()


def test_reports_and_the_method_table_change_no_code_digest(library):
    assert changed_by(library, "reporting/tables.py", lambda s: s + "\nextra = 1\n") == set()
    assert changed_by(library, "losses/methods.py", lambda s: s + "\nextra = 1\n") == set()


def test_the_table_of_recipes_is_no_part_of_the_code(library):
    """A record's key holds the values of its own recipe; other recipes are not its business."""
    assert changed_by(library, "training/recipes.py", lambda s: s + "\nextra = 1\n") == set()


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_asks_for_nothing_that_its_data_do_not_know(recipe):
    dataset = load_dataset(
        {"classification": "digits100", "segmentation": "digit_scenes"}[recipe.task],
        train_limit=100 if recipe.task == "classification" else 4,
    )
    dataset = with_normalisation(dataset, recipe.augmentation.get("normalisation"))
    batch = next(iter(dataset.train_batches(2, 0, 0, augmentation=recipe.augmentation)))
    assert batch.images["weak"].isfinite().all()
