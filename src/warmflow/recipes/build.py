"""From a recipe's name, or from the user's own data and draft, to a plan."""

from __future__ import annotations

from typing import Any

from warmflow.data import enough, load
from warmflow.recipes.plan import Plan, fitted, network
from warmflow.recipes.settings import Digits, Folder, Settings, Toy, settings_of
from warmflow.sources import External


def plan_of(recipe: str, settings: Settings) -> Plan:
    """The plan of a named recipe under checked settings."""
    from warmflow.recipes import images, toy

    if recipe.startswith("toy."):
        assert isinstance(settings, Toy)
        return toy.plan(recipe.removeprefix("toy."), settings)
    if isinstance(settings, Digits):
        return images.digits(settings)
    assert isinstance(settings, Folder)
    plan = images.folder(settings)
    enough(len(plan.data.everything), f"folder {settings.path}")
    return plan


def plan_for(data: Any, draft: Any = None, **changes: Any) -> Plan:
    """The plan of the user's own data: a recipe's name, "folder:PATH", a file of arrays, a tensor or an array.

    Args:
        draft: None or a draft's name ("mixture", "gaussian") for one of ours; a callable ``draft(n, seed)``; an array.
    """
    if isinstance(draft, str):
        changes["draft"], draft = draft, None
    known = {"moons": "toy.moons", "digits": "images.digits"}
    name = known.get(data, data) if isinstance(data, str) else ""
    if name.startswith(("toy.", "images.")) and name != "images.folder":
        plan = plan_of(name, settings_of(name, **changes))
    elif name.startswith("folder:"):
        plan = plan_of("images.folder", settings_of("images.folder", path=name.removeprefix("folder:"), **changes))
    else:
        found = load(data)
        settings = settings_of("custom", **changes)
        plan = Plan("custom", settings, found, fitted(settings, found.train.x1), network(settings))
    if draft is None:
        return plan
    from dataclasses import replace

    source = External.of(draft, plan.data.shape)
    return replace(plan, draft=lambda: source)
