"""Code digests of four methods with the library taken from a folder; each in a process that has not yet imported it."""

import multiprocessing
import sys

METHODS = ("none", "kd", "at", "ickd_c+kd")


def digests_of(folder):
    """Method -> code digest. Runs in a fresh process of `fresh_processes`."""
    sys.path.insert(0, str(folder))
    from icckd.losses.methods import Context, create_criterion
    from icckd.runs.keys import digest_of_code, used_code

    assert str(folder) in sys.modules["icckd.runs.keys"].__file__
    return {name: digest_of_code(used_code(create_criterion(name, Context()))) for name in METHODS}


def fresh_processes():
    """A pool whose processes serve one call each; what the library imports, itself excepted, is loaded once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch", "torchvision", "timm", "pandas", "torchmetrics", "mlxtend.data", "accelerate"]
    )
    return context.Pool(1, maxtasksperchild=1)
