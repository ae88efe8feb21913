"""`fit` with compiled networks trains the same students, whichever layers their methods read."""

import pytest
import torch
from small_training import photos, recipe_for, settled, students_of

from icckd.training.trainer import fit

METHODS = ["none", "kd", "at", "ickd_c+kd", "fitnet", "ofd.train_mode_teacher"]


def trained(**options):
    """The students by method after three steps in float32; and what was compiled."""
    data = photos(12)
    teacher, students = settled("resnet14", data), students_of(METHODS, data, "resnet14", "resnet8")
    recipe = recipe_for(data, batch_size=4, precision="float32")
    return fit(data, students, recipe, teacher, device="cpu", report=lambda line: None, progress=False, **options)


@pytest.fixture
def compiled_code():
    """Inside, the graphs that were compiled."""
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    yield graphs, backend
    torch._dynamo.reset()


def test_compiled_students_are_those_that_are_not(compiled_code):
    graphs, backend = compiled_code
    plain, compiled = trained(), trained(compile_networks={"backend": backend})
    assert len(graphs) > len(METHODS), "nothing was compiled"
    for name in METHODS:
        assert compiled[name].failure is None, compiled[name].failure
        for a, b in zip(plain[name].network.parameters(), compiled[name].network.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
