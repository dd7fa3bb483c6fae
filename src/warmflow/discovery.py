"""Finds the concrete classes of a package by their names, so that a new one is a new file and nothing else."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def concrete_in(package: ModuleType, base: type[T]) -> list[type[T]]:
    """The concrete classes below ``base`` that the modules of a package define, in the order of the modules."""
    found: list[type[T]] = []
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda i: i.name):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        found += [
            cls
            for cls in vars(module).values()
            if inspect.isclass(cls) and issubclass(cls, base) and cls is not base and not inspect.isabstract(cls)
            and cls.__module__ == module.__name__
        ]  # fmt: skip
    return found


def classes_in(package: ModuleType, base: type[T]) -> dict[str, type[T]]:
    """The concrete classes below ``base`` in the modules of a package, by their ``name``; those without a name are left out.

    Raises:
        ValueError: two classes of one name.
    """
    found: dict[str, type[T]] = {}
    for cls in concrete_in(package, base):
        name = getattr(cls, "name", "")
        if isinstance(name, str) and name:
            if name in found and found[name] is not cls:
                raise ValueError(f"{found[name].__name__} and {cls.__name__} are both called {name!r}")
            found[name] = cls
    return found
