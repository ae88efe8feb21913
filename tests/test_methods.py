"""Every method by its name: it builds, its options count, wrong ones are refused, and a name has one spelling.

`pytest tests/test_methods.py -k NAME` runs the tests of one method."""

import functools
import inspect

import pytest
import torch
from small_training import photos, recipe_for, scenes, settled, students_of

from icckd.losses.criterion import Criterion, describe_criterion
from icckd.losses.methods import (
    GROUPS,
    METHODS,
    Context,
    canonical_name,
    create_criterion,
    default_options,
    find_method,
    published_method,
)
from icckd.reporting.published import published
from icckd.training.trainer import fit

ROWS = [pytest.param(task, name, id=f"{task}-{name}") for task, table in METHODS.items() for name in table]
OTHER_NAMES = (  # for options that are names: every class that takes some takes one of these
    *("imagenet", "as_released", "as_intended", "wgan-gp", "hinge", "measured", "norm", "whole", "attention"),
    *("skd", "cirkd", "pixel", "ifvd", "spatial", "channel", "mse", "per_element", "stage3"),
)
WITHOUT_CHOICE = {("cwd.channel_mean", "divergence")}  # with its norm there is one divergence


def context_of(task):
    """Of a pair for which no row publishes a setting."""
    return Context(task, ignore_index=255 if task == "segmentation" else None, auxiliary=task == "segmentation")


def text_of(value):
    """A value as a name takes it, in full."""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def other_values(value):
    """Values of the same kind that differ, one of which lies in any range."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 2]  # odd sizes stay odd
    if isinstance(value, float):
        return [value / 2 if value else 0.5]
    if isinstance(value, tuple):
        return [tuple(x + 2 for x in value)]
    if value is None:
        return [True, False, 1]
    return [name for name in OTHER_NAMES if name != value]


def accepted(name, option, values, task):
    """The names with one option changed that are accepted."""
    for value in values:
        try:
            yield find_method(f"{name}:{option}={text_of(value)}", task).name
        except ValueError:
            pass


@pytest.mark.parametrize(("task", "name"), ROWS)
def test_every_option_counts(task, name):
    """Each option changes the description, from which a record's key is made; given at its default it does not."""
    context = context_of(task)
    plain, options = describe_criterion(create_criterion(name, context)), default_options(name, context)
    assert isinstance(create_criterion(name, context), Criterion)
    assert ("weight" in options) == (name != "none")
    for option, value in options.items():
        others = list(accepted(name, option, other_values(value), task))
        assert others or (name, option) in WITHOUT_CHOICE, f"{name}: no other value of {option}={value!r} is accepted"
        changed = [other for other in others if describe_criterion(create_criterion(other, context)) != plain]
        assert changed or not others, f"{name}: {option} changes nothing"
        same = f"{name}:{option}={text_of(value)}"
        assert describe_criterion(create_criterion(same, context)) == plain, f"{same}: is not the default"


@pytest.mark.parametrize(("task", "name"), ROWS)
def test_wrong_options_are_refused(task, name):
    """In one sentence that names what was wrong and lists every option with its value."""
    options = default_options(name, context_of(task))
    numbers = [option for option, value in options.items() if isinstance(value, float)]
    for wrong, reason in [
        ("no_such_option=1", "no option 'no_such_option'"),
        *((f"{option}=many", f"{option}: wanted a number, got 'many'") for option in numbers),
        *((f"{option}=nan", f"{option}: wanted a number, got 'nan'") for option in numbers),
        *((f"{option}=-1", "wanted a finite number") for option in numbers),
    ]:
        with pytest.raises(ValueError) as caught:
            find_method(f"{name}:{wrong}", task)
        message = str(caught.value)
        assert message.startswith(f"method '{name}:{wrong}': ") and reason in message and "\n" not in message
        listed = message.partition(f"; options of {name}: ")[2].split(", ")
        assert [word.partition("=")[0] for word in listed] == list(options)


@functools.lru_cache(maxsize=None)
def small_pair(task):
    """(data, teacher, names of teacher and student)"""
    if task == "classification":
        data, names = photos(4, evaluation=2), ("resnet14", "resnet8")
    else:
        data, names = scenes(2, evaluation=1), ("pspnet_r18@0.25", "pspnet_r18@0.125")
    return data, settled(names[0], data), names


@pytest.mark.parametrize(("task", "name"), [row for row in ROWS if row.values[1] not in ("none", "ab", "fsp")])
def test_weight_scales_the_method_alone(task, name):
    """At the first step a method with twice its weight has twice the terms, and the same cross-entropy."""
    data, teacher, (teacher_name, student_name) = small_pair(task)
    if name in ("ickd_s.grid16", "ickd_s.grid32"):  # they need larger maps than this
        pytest.skip("needs larger maps; another row has the same class")
    context = Context(task, data.name, teacher_name, student_name, data.ignore_index, task == "segmentation")
    double = f"{name}:weight={2 * default_options(name, context)['weight']}"
    students = students_of([name, double], data, teacher_name, student_name)
    recipe = recipe_for(data, batch_size=data.train_size, precision="float32")
    trained = fit(data, students, recipe, teacher=teacher, report=None, progress=False)
    once, twice = (trained[m].history[-1]["terms"] for m in (name, double))
    assert list(once) == list(twice)
    own, base = 0, find_method(name, task).own_term
    for term, value in once.items():
        other = term.startswith(("ce", "critic")) or (term == "kd" and base != "kd")
        other = other or (base == "ifvd" and term != "ifvd")  # its row has two more terms
        factor, own = 1 if other else 2, own + (not other)
        assert twice[term] == pytest.approx(factor * value, rel=1e-3, abs=1e-12), f"{double}: {term}"
    assert own and any(value for value in once.values())


@pytest.mark.parametrize(("task", "name"), ROWS)
def test_kd_is_added_to_methods_of_features_alone(task, name):
    features = task == "classification" and create_criterion(name, context_of(task)).student_layers
    if f"{name}+kd" in METHODS[task]:
        assert "kd" in create_criterion(f"{name}+kd", context_of(task)).parts
    elif features and "+" not in name:
        with_kd = find_method(f"{name}+kd:kd.weight=2", task)
        parts = with_kd.build(context_of(task)).parts
        assert set(parts) == {*create_criterion(name, context_of(task)).parts, "kd"} and parts["kd"].weight == 2
        assert default_options(f"{name}+kd", context_of(task))["kd.weight"] == 1
    else:
        with pytest.raises(ValueError, match="wanted a method that compares features before|did you mean|known"):
            find_method(f"{name}+kd", task)


@pytest.mark.parametrize(("task", "name"), ROWS)
def test_names_and_titles(task, name):
    row = METHODS[task][name]
    assert find_method(name, task) == row and row.group in GROUPS and canonical_name(name) == name
    titles = [m.title for m in METHODS[task].values()]
    assert titles.count(row.title) == 1
    assert all(published_method(alias, task) == name for alias in row.published_as)
    for option, value in default_options(name, context_of(task)).items():
        given = find_method(f"{name}:{option}={text_of(value)}", task)
        assert given.name == canonical_name(given.name) and given.name != name
        assert given.title.startswith(f"{row.title} ({option} ") and given.published_as == ()
        assert option in given.variant and given.group == row.group and given.note == row.note


def test_newer_methods_are_found_in_their_table():
    rows = published("newer_cifar100")
    names = dict(zip(rows["method"], rows["our_method"]))
    assert [name for name, ours in names.items() if not ours] == ["Teacher"]
    newer = {name for name, row in METHODS["classification"].items() if row.group == GROUPS[1] and row.published_as}
    assert newer <= set(names.values())


@pytest.mark.parametrize(
    ("written", "wanted"),
    {
        "pkt": "pkt",
        "pkt:weight=3e3": "pkt:weight=3000",
        "pkt:weight=03000.0": "pkt:weight=3000",
        "pkt:weight=1E-05": "pkt:weight=1e-5",
        "pkt:weight=1e16": "pkt:weight=1e16",
        "pkt:weight=-0": "pkt:weight=0",
        "kd:weight=.5,temperature=2.": "kd:temperature=2,weight=0.5",
        "ickd_c+kd:weight=4,kd.weight=0.50,ce.weight=1": "ickd_c+kd:ce.weight=1,kd.weight=0.5,weight=4",
        "ickd_s:grid=04x2": "ickd_s:grid=4x2",
        "skds:mode=wgan-gp": "skds:mode=wgan-gp",
    }.items(),
)
def test_one_spelling(written, wanted):
    assert canonical_name(written) == wanted == canonical_name(wanted)
    task = "classification" if written.partition(":")[0] in METHODS["classification"] else "segmentation"
    assert find_method(written, task).name == wanted
    context = context_of(task)
    same = (describe_criterion(create_criterion(name, context)) for name in (written, wanted))
    assert next(same) == next(same)


@pytest.mark.parametrize("wrong", ["pkt:", "pkt:weight", "pkt:weight=", "pkt:=3", "pkt:weight=1,", "pkt:weight=1;a=2"])
def test_wrong_spelling_is_refused(wrong):
    with pytest.raises(
        ValueError, match="^method 'pkt:.*(wanted NAME:option=value,option=value|wanted a number)"
    ) as caught:
        find_method(wrong, "classification")
    assert "\n" not in str(caught.value)


def test_options_given_hold_for_every_pair():
    pair = Context(teacher="vgg13", student="vgg8")
    assert create_criterion("dkd", pair).parts["dkd"].beta == default_options("dkd", pair)["beta"] == 6.0
    assert create_criterion("dkd:beta=3", pair).parts["dkd"].beta == 3.0
    assert default_options("dkd:beta=3", pair)["beta"] == 6.0


def test_constructors_say_what_an_option_is():
    """The reader of names goes by annotations; an option without one would be read wrongly."""
    for task, table in METHODS.items():
        for row in table.values():
            terms = row.terms(context_of(task))
            for make in terms.values() if isinstance(terms, dict) else [terms]:
                for argument in inspect.signature(make).parameters.values():
                    assert argument.annotation is not inspect.Parameter.empty, (row.name, argument.name)


def test_torch_is_left_alone():
    before = torch.get_rng_state()
    for task, table in METHODS.items():
        for name in table:
            create_criterion(name, context_of(task))
    assert torch.equal(torch.get_rng_state(), before)
