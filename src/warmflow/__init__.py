"""warmflow: flow matching from a draft, and a verdict on whether it helps.

    A source gives a start; a coupling pairs starts with data; a path joins each pair on [t0, 1], where t0 is the time at
    which the flow starts; a field learns the motion along it; a solver integrates it in few steps; an evaluation says which
    method needs fewer network calls for the same quality.

Classes, functions and modules are imported when they are first used, so that ``warmflow --help`` does not wait for torch:
``import warmflow; warmflow.data.load("digits")``.

Concrete classes of the packages in ``_PACKAGES`` are found in their modules, so that a new one is a new file. Where two classes
share a name, the top level has the one that is made by calling it: ``warmflow.LearnedPrior`` is the method, its source is
``warmflow.sources.LearnedPrior``. The drafts Gaussian, Jittered and Regression are asked for by their names ("gaussian") and stay
in ``warmflow.drafts``; at the top level these are the sources and the objective.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
from typing import Any

__version__ = "0.2.0"

_EXPORTS = {
    "contracts": "Batch Condition Coupling Data Estimate Field FlowPath JumpPath Metric Objective Pair Path Player Point "
    "Record Samples Solver Source Start State",
    "noise": "Noise",
    "options": "OptionError",
    "sources": "Autoregressive partly_known",
    "couplings": "Principal prepare",
    "networks": "Network",
    "fields": "finite_data wrap",
    "sampler": "Clip Sampler",
    "metrics.extractors": "EfficientNetLite0 NamedExtractor Scripted",
    "data": "DataSet",
    "data.fresh": "FreshToy",
    "data.grid": "Gridded",
    "functional": "flow_sampler sample",
    "pairs": "PairedDataset pair",
    "evaluation.verdict": "Verdict judge",
    "evaluation.evaluate": "Evaluation Extras evaluate",
    "image_table": "final_table",
    "training": "Diverged train",
    "checkpoints": "load",
    "setup": "Setup Training",
    "drafts": "Draft draft_of",
    "problems": "Problem problem_of",
    "methods": "Method",
    "methods.learned_prior": "LearnedPrior",
    "report": "Report",
    "experiments.audit": "audit",
    "experiments.compare": "compare",
    "experiments.distill": "distill",
}
"""Public names by the module that has them, beside the classes that are found."""
_PACKAGES = {
    "sources": "contracts.Source",
    "couplings": "contracts.Coupling",
    "paths": "contracts.Path",
    "networks": "networks.base.Network",
    "fields": "contracts.Field",
    "solvers": "contracts.Solver",
    "objectives": "contracts.Objective",
    "metrics": "contracts.Metric",
    "drafts": "drafts.base.Draft",
    "problems": "problems.base.Problem",
    "methods": "methods.base.Method",
}
"""Packages whose concrete classes are public, with the base of these. Of two classes with one name, that of the first package is
found. The order is that of the layers, so that a solver is found without importing methods."""
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names.split()}


@functools.cache
def _classes(package: str) -> dict[str, type[Any]]:
    """The public classes of a package, by name. Imports its modules."""
    from warmflow.discovery import concrete_in

    module, _, base = _PACKAGES[package].rpartition(".")
    above = getattr(importlib.import_module(f"warmflow.{module}"), base)
    found = concrete_in(importlib.import_module(f"warmflow.{package}"), above)
    named = package in ("drafts", "problems", "methods")  # without a name these are bases of others
    return {k.__name__: k for k in found if not k.__name__.startswith("_") and (not named or getattr(k, "name", None))}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"warmflow.{_MODULE_OF[name]}"), name)
    if name == "__all__":
        return sorted({*_MODULE_OF, *(found for package in _PACKAGES for found in _classes(package)), "__version__"})
    if name[:1].isupper():
        for package in _PACKAGES:
            if name in _classes(package):
                return _classes(package)[name]
    if not name.startswith("_") and importlib.util.find_spec(f"warmflow.{name}") is not None:
        return importlib.import_module(f"warmflow.{name}")
    raise AttributeError(f"warmflow has no {name!r}")


def __dir__() -> list[str]:
    return sorted({*__getattr__("__all__"), *(module.name for module in pkgutil.iter_modules(__path__))})
