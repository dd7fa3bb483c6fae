"""The top level has every public class, and every module, without importing torch before it is asked."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import warmflow
from warmflow.contracts import Coupling, Field, Metric, Objective, Path, Solver, Source
from warmflow.drafts import Draft
from warmflow.methods import Method
from warmflow.networks import Network
from warmflow.problems import Problem

BASES = (Coupling, Field, Metric, Objective, Path, Solver, Source, Network, Draft, Method, Problem)
SHADOWED = {
    "warmflow.sources.learned_prior.LearnedPrior": "methods",
    "warmflow.drafts.mixture.Gaussian": "sources",
    "warmflow.drafts.jittered.Jittered": "sources",
    "warmflow.drafts.regression.Regression": "objectives",
}
"""Classes whose name at the top level is another one's, and the package of that one."""


def public():
    """Every public concrete class of warmflow below one of the bases."""
    for module in pkgutil.walk_packages(warmflow.__path__, "warmflow."):
        importlib.import_module(module.name)
    found, todo = set(), list(BASES)
    while todo:
        below = todo.pop().__subclasses__()
        todo += below
        found |= {k for k in below if k.__module__.startswith("warmflow.") and not k.__name__.startswith("_")}
    named = (Draft, Method, Problem)  # without a name these are bases of others
    found -= {k for k in found if k.__module__.startswith("warmflow.experiments.")}  # parts of the commands
    kept = (k for k in found if not inspect.isabstract(k) and (not issubclass(k, named) or getattr(k, "name", "")))
    return sorted(kept, key=lambda k: (k.__qualname__, k.__module__))


@pytest.mark.parametrize("kind", public(), ids=lambda k: f"{k.__module__}.{k.__name__}")
def test_every_public_class_is_exported(kind):
    told = f"{kind.__module__}.{kind.__name__}"
    assert kind.__name__ in warmflow.__all__, "a class outside the packages that are searched: add it to _EXPORTS"
    found = getattr(warmflow, kind.__name__)
    if told in SHADOWED:
        assert found is not kind and found.__module__.split(".")[1] == SHADOWED[told]
    else:
        assert found is kind


@pytest.mark.parametrize("name", [n for n in warmflow.__all__ if not n.startswith("_")])
def test_every_name_is_there(name):
    assert getattr(warmflow, name) is not None


def test_names_are_found_by_their_own_module():
    assert not set(warmflow.__all__) & {m.name for m in pkgutil.iter_modules(warmflow.__path__)}, (
        "a name hides a module"
    )
    assert set(warmflow.__all__) <= set(dir(warmflow)) and "functional" in dir(warmflow)


def test_what_is_not_there():
    with pytest.raises(AttributeError, match="warmflow has no 'nothing'"):
        _ = warmflow.nothing
    assert not hasattr(warmflow, "__wrapped__")


def fresh(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.long
def test_modules_are_imported_when_they_are_asked_for():
    said = fresh(
        "import sys, warmflow; print('torch' in sys.modules); print(len(warmflow.data.load('moons').train) > 0); "
        "print(warmflow.functional.sample is warmflow.sample, warmflow.methods.METHODS['cold'] is warmflow.Cold)"
    )
    assert said.split() == ["False", "True", "True", "True"]


def test_a_solver_is_found_without_importing_methods():
    said = fresh("import sys, warmflow; print(warmflow.RK4().order, 'warmflow.methods' in sys.modules)")
    assert said.split() == ["4", "False"]


def test_only_concrete_classes_are_found():
    for name in ("Toy", "ImageProblem", "ResampledMetric", "Tableau", "Pairing"):  # bases and helpers
        assert not hasattr(warmflow, name) and name not in warmflow.__all__
    starred = {}
    exec("from warmflow import *", starred)
    assert set(warmflow.__all__) <= set(starred)
