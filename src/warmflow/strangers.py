"""What a description from somebody else may ask for, checked before anything is made of it.

A run folder may come from a stranger. Its model.json names classes and numbers, and a file of a few hundred bytes can ask for a
network of many gigabytes. So:

    classes     only final parts of this library, looked up in the few packages that define them
    numbers     whole numbers and sample shapes of bounded size
    networks    built on torch's meta device first, which allocates nothing, with no more parameters than the file has tensors;
                their shapes must be those of the file's tensors. Only then are they built in memory
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from warmflow.networks import seeded

HOMES = re.compile(
    r"warmflow\.((sources|couplings|paths|fields|solvers|networks)\.[a-z0-9_]+|sampler|data\.(grid|fresh))"
)
"""The modules that define parts."""
LARGEST_NUMBER = 2**24
LARGEST_SAMPLE = 2**24
"""Numbers in a sample at most: 3 x 2,364 x 2,364."""
SHAPES = ("shape", "sees", "modulated")
"""The fields and arguments that hold shapes of samples and of conditions."""
MOST_VALUES, MOST_LEVELS = 100_000, 64
"""JSON values in a description, and levels of its nesting, at most; ours have hundreds and about ten."""
SPARE = 64
"""Parameters that a network may make and drop while it is built, beside those that it keeps."""


class DoesNotFit(Exception):
    """A description that is not one of the tensors beside it."""


def part_class(name: object, parts: tuple[type, ...], allow: Iterable[type]) -> type:
    """The class of this name ("module:Name"): one that the user allows, or a final part of this library.

    Raises:
        ValueError: any other name. Nothing is imported for it.
    """
    name = str(name)
    for kind in allow:
        if f"{kind.__module__}:{kind.__qualname__}" == name:
            return kind
    module, _, qualname = name.partition(":")
    if HOMES.fullmatch(module):
        try:
            kind = getattr(importlib.import_module(module), qualname)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"the run was made with {name}, which this version of warmflow does not have") from error
        if inspect.isclass(kind) and issubclass(kind, parts) and not inspect.isabstract(kind):
            return kind
    said = name if len(name) <= 100 else name[:97] + "..."
    raise ValueError(f"the run uses the class {said}, which is not part of warmflow: pass it, allow=[{qualname[:50]}]")


def check_numbers(described: object, called: str = "the description") -> None:
    """Raises ValueError for a description that is too large or too deep, or that has a number or a sample shape which is."""
    left: list[tuple[str, object, int]] = [("", described, 0)]
    seen = 0
    while left:
        key, value, level = left.pop()
        seen += 1
        if seen > MOST_VALUES or level > MOST_LEVELS:
            raise ValueError(
                f"{called} has more than {MOST_VALUES} values or {MOST_LEVELS} levels: it is not one of ours"
            )
        match value:
            case dict():
                left += [(key if key in SHAPES else str(name), more, level + 1) for name, more in value.items()]
            case list():
                whole = [abs(one) for one in value if type(one) is int]
                if key in SHAPES and math.prod(whole[:100]) > LARGEST_SAMPLE:
                    raise ValueError(
                        f"{called}: {key} has more than {LARGEST_SAMPLE} numbers, the most that a sample may have"
                    )
                left += [(key, more, level + 1) for more in value]
            case int() if abs(value) > LARGEST_NUMBER:
                raise ValueError(
                    f"{called}: {key[:50]} is above {LARGEST_NUMBER}, the most that a run folder may ask for"
                )


def network_like(
    kind: type, arguments: Mapping[str, object], tensors: Mapping[str, Tensor], allowed: bool
) -> nn.Module:
    """The network of these arguments, whose weights are still to be loaded.

    Args:
        tensors: the state that will be loaded.
        allowed: whether the class is the user's own, which may not work on the meta device and is made at once.

    Raises:
        DoesNotFit: the network of these arguments would have another state. Nothing was allocated.
    """
    if not allowed:
        with torch.device("meta"), _Shapes(), _at_most(len(tensors) + SPARE):
            planned = seeded(0, lambda: kind(**arguments))
        expected = {name: tuple(one.shape) for name, one in planned.state_dict().items()}
        if expected != {name: tuple(one.shape) for name, one in tensors.items()}:
            raise DoesNotFit(f"{kind.__name__} with these arguments has other weights")
        if sum(one.numel() for one in planned.buffers()) > LARGEST_SAMPLE + sum(map(Tensor.numel, tensors.values())):
            raise DoesNotFit(f"{kind.__name__} with these arguments has too large buffers")
    return seeded(0, lambda: kind(**arguments))


class _Shapes(TorchFunctionMode):
    """Leaves out what changes values alone: on the meta device torch would import its compiler for it, which takes seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, more = getattr(func, "__name__", ""), kwargs or {}
        if name in ("exp", "sin", "cos") and args:
            return args[0]
        if name == "linspace" and len(args) == 3:
            return torch.empty(args[2])
        if name == "arange" and len(args) == 1:
            return torch.empty(args[0])
        if name.endswith("_") and not name.startswith("_") and name != "requires_grad_":
            return args[0] if args else more["tensor"]
        return func(*args, **more)


@contextmanager
def _at_most(parameters: int) -> Iterator[None]:
    """Ends the building of a network in this thread that makes more parameters than that."""
    made, ours = [0], threading.get_ident()

    def count(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        if threading.get_ident() == ours:
            made[0] += 1
            if made[0] > parameters:
                raise DoesNotFit("the network would have more parameters than there are tensors")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
