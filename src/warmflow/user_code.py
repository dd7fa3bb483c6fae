"""Calls of the user's own models, drafts, generators and extractors: in evaluation mode, in the dtype of their weights, and with
errors that name them.

A model that was just trained is in training mode: dropout would disturb its samples, and BatchNorm would replace its statistics
by those of the samples. Sampling and measuring therefore set every module to evaluation mode for the time of the call. Training
leaves the modes as the user has set them.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor, nn

from warmflow.devices import like
from warmflow.failures import of_memory

MOST_ENTRIES = 1000
"""Entries of the longest list that modules are looked for in."""
STEPS = 3
"""Steps from an object to the modules it uses: an attribute of an attribute of an attribute."""
MOST_OBJECTS = 20_000
"""Objects after which no further step is made."""
LEAVES = (bool, int, float, complex, str, bytes, Tensor, type, types.ModuleType)
LEAST_BYTES = 2
"""Bytes of the smallest weights whose dtype inputs are cast to; smaller ones are for storage only (float8)."""


def modules_of(*parts: object) -> list[nn.Module]:
    """All modules in the parts, with their submodules, each once.

    Modules are found in what a part is or refers to, in at most three steps: a module, a method of one, an object with modules as
    attributes (a diffusers pipeline), a function that uses modules of its surroundings, or lists and mappings of modules there.
    """
    outer: dict[int, nn.Module] = {}
    seen: dict[int, object] = {}  # keeps what it has seen alive, so that identities stay unique
    near = list(parts)
    for _ in range(STEPS + 1):
        found = [x for one in near for x in _each(one) if id(x) not in seen and _may_hold_modules(x)]
        seen |= {id(x): x for x in found}
        outer |= {id(module): module for x in found if (module := module_in(x)) is not None}
        near = [x for one in found if module_in(one) is None for x in _beside(one)]
        if len(seen) > MOST_OBJECTS:
            break
    return list({id(m): m for module in outer.values() for m in module.modules()}.values())


def _may_hold_modules(one: object) -> bool:
    """False for values, classes and Python modules, which are not followed."""
    return one is not None and not issubclass(type(one), LEAVES)


@contextlib.contextmanager
def in_evaluation_mode(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Evaluation mode of these modules, but not of their submodules, and afterwards the mode that each was in, also if the call
    fails."""
    training = [m for m in modules if m.training]
    for one in training:
        one.training = False
    try:
        yield
    finally:
        for one in training:
            one.training = True


def evaluating(*parts: object) -> contextlib.AbstractContextManager[None]:
    """Evaluation mode of all modules of ``modules_of``, and afterwards the mode that each was in."""
    return in_evaluation_mode(modules_of(*parts))


def module_in(part: object) -> nn.Module | None:
    """The part as a module; None if it is none."""
    return part if isinstance(part, nn.Module) else None


def _each(one: object) -> Iterable[object]:
    """The entries of a short list, tuple or mapping; anything else itself."""
    match one:
        case list() | tuple() if len(one) <= MOST_ENTRIES:
            return one
        case dict() if len(one) <= MOST_ENTRIES:
            return one.values()
    return (one,)


def _beside(part: object) -> Iterator[object]:
    """What an object refers to directly: the object of a method, the function of a ``partial``, attributes, and of a function
    the variables of its surroundings."""
    yield getattr(part, "__self__", None)
    yield getattr(part, "func", None)
    yield from (getattr(part, "__dict__", None) or {}).values()
    code = getattr(part, "__code__", None)
    if code is None:
        return
    for cell in getattr(part, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # a variable that is not assigned yet
            yield cell.cell_contents
    known = getattr(part, "__globals__", {})
    yield from (known[name] for name in code.co_names if name in known)


def weights_of(part: object) -> Tensor | None:
    """The first floating-point parameter of a module, or else its first such buffer; None for anything else, and for weights
    that are not in memory (device "meta")."""
    module = module_in(part)
    if module is None:
        return None
    tensors = (one for group in (module.parameters(), module.buffers()) for one in group)
    return next((t for t in tensors if t.is_floating_point() and t.itemsize >= LEAST_BYTES and not t.is_meta), None)


def as_weights(x: Tensor, weights: Tensor | None) -> Tensor:
    """x on the device of these weights and, if it has floats, in their dtype."""
    if weights is None:
        return x
    return like(x, weights) if x.is_floating_point() else x.to(weights.device)


def all_as_weights(given: Mapping[str, Tensor], weights: Tensor | None) -> dict[str, Tensor]:
    """The conditions of a model by ``as_weights``."""
    return {name: as_weights(x, weights) for name, x in given.items()}


@contextlib.contextmanager
def naming(said: str) -> Iterator[None]:
    """Turns an error of the user's code into a ValueError of one line, which begins with ``said``. Errors that this library
    raises and a lack of memory pass unchanged.
    """
    try:
        yield
    except ValueError as error:
        if _is_ours(error):
            raise
        raise ValueError(f"{said}: {_first_line(error)}") from error
    except Exception as error:  # whatever a user's code raises
        if of_memory(error):
            raise
        raise ValueError(f"{said}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _is_ours(error: Exception) -> bool:
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at is not None and str(at.tb_frame.f_globals.get("__name__", "")).split(".")[0] == "warmflow"
