"""From a recipe's name, or from the user's own data and draft, to a plan."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from warmflow.contracts import Batch, Start
from warmflow.data import DataSet, enough, load
from warmflow.data.text import Alphabet, drafts_of
from warmflow.noise import Noise, permutation
from warmflow.recipes.flows import FloatFlow
from warmflow.recipes.labels import conditional
from warmflow.recipes.plan import Plan, fitted, network, ready
from warmflow.recipes.settings import (
    KNOWN_DRAFTS,
    Cifar10,
    Custom,
    Digits,
    Emoji,
    Fashion,
    Floats,
    Folder,
    Grid,
    LeDiFlow,
    LeDiFlowCifar10,
    LeDiFlowFashion,
    OwnImages,
    Restoration,
    Settings,
    Text,
    Toy,
    is_ours,
    settings_of,
    suggest,
)
from warmflow.sources import External

SHORT = {
    "moons": "toy.moons", "grid": "toy.grid", "digits": "images.digits", "cifar10": "images.cifar10",
    "cifar-10": "images.cifar10", "emoji": "images.emoji", "text": "text.characters",
}  # fmt: skip
"""Recipes by the names of their data."""
LEAST_SIDE = 8
"""Images with a smaller side take a perceptron."""


def plan_of(recipe: str, settings: Settings) -> Plan:
    """The plan of a named recipe under checked settings."""
    from warmflow.recipes import images, restoration, tokens, toy

    if isinstance(settings, Grid):
        plan = tokens.grid(settings)
    elif isinstance(settings, Text):
        plan = tokens.characters(settings, recipe)
    elif recipe.startswith("toy."):
        assert isinstance(settings, Toy)
        plan = toy.plan(recipe.removeprefix("toy."), settings)
    elif isinstance(settings, LeDiFlowFashion):
        plan = images.lediflow_fashion(settings)
    elif isinstance(settings, LeDiFlowCifar10):
        plan = images.lediflow_cifar10(settings)
    elif isinstance(settings, Restoration):
        plan = restoration.plan(recipe, settings)
    elif isinstance(settings, Cifar10):
        plan = images.cifar10(settings)
    elif isinstance(settings, Emoji):
        plan = images.emoji(settings)
    elif isinstance(settings, Fashion):
        plan = images.fashion(settings)
    elif isinstance(settings, LeDiFlow):
        plan = images.lediflow_digits(settings)
    elif isinstance(settings, Digits):
        plan = images.digits(settings)
    else:
        assert isinstance(settings, Folder)
        plan = images.folder(settings)
        enough(plan.data.total, f"folder {settings.path}")
    _drawable(plan)
    return plan


def plan_for(data: Any, draft: Any = None, **changes: Any) -> Plan:
    """The plan of a recipe (``SHORT`` names some), or of all else that ``data.load`` takes: "folder:PATH", "hf:NAME", a
    file of arrays, a tensor or an array, a DataSet.

    Args:
        draft: None or a draft's name ("mixture", "gaussian") for one of ours; a callable ``draft(n, seed)``; an array;
            the path of a file (.npy, .npz) or folder of ready drafts.

    Raises:
        ValueError: bad data, drafts that do not fit them, unknown or impossible settings.
    """
    if isinstance(draft, str) and not is_ours(draft):
        draft = path_of(draft)
    if isinstance(draft, str):
        changes["draft"], draft = draft, None
    if isinstance(data, os.PathLike):
        data = f"folder:{os.fspath(data)}" if Path(data).is_dir() else os.fspath(data)
    name = SHORT.get(data, data) if isinstance(data, str) else ""
    if name.startswith(("toy.", "images.", "text.", "lediflow.")):
        plan = plan_of(name, settings_of(name, **changes))
    elif name.startswith("folder:"):
        plan = plan_of("images.folder", settings_of("images.folder", path=name.removeprefix("folder:"), **changes))
    else:
        found = load(data)
        plan = _own(found, changes)
    plan = _used(plan)
    if draft is None:
        _drawable(plan)
        return plan
    if conditional(plan.settings):
        raise ValueError(
            "--conditional fits a draft to each class, and drafts of your own have none: leave one of the two out"
        )
    codec = plan.data.codec
    if type(draft).__module__.split(".")[0] == "diffusers":
        raise ValueError(
            f"the draft is the pipeline {type(draft).__name__}; keep it with save_pretrained(PATH), give 'diffusers:PATH'"
        )
    if isinstance(draft, os.PathLike):
        if isinstance(codec, Alphabet) and Path(draft).suffix.lower() in (".txt", ".jsonl"):
            return _written(plan, Path(draft), codec)
        if Path(draft).suffix.lower() in (".txt", ".jsonl"):
            raise ValueError(
                f"the draft '{draft}' is a file of texts, but the data are none; give drafts as .npy or .npz, or images"
            )
        if plan.settings.pairing == "given" and Path(draft).is_dir() and isinstance(plan.settings, Folder):
            _named_alike(Path(plan.settings.path), Path(draft), plan.data)
        draft = read_drafts(Path(draft), plan.data.shape)
    source = External.of(draft, plan.data.shape, plan.data.bounds, None if codec is None else len(codec))
    plan = _ranged(plan, source)
    if plan.settings.pairing == "given":
        return _aligned(plan, source)
    return replace(plan, draft=ready(source))


def _own(data: DataSet, changes: dict[str, Any]) -> Plan:
    """The plan of the user's own data: images with a network for images, where they have sides of at least 8."""
    from warmflow.recipes.images import own

    if data.kind == "images" and min(data.shape[1:]) >= LEAST_SIDE:
        settings = settings_of("custom.images", **changes)
        assert isinstance(settings, OwnImages)
        return own("custom", settings, data)
    settings = settings_of("custom", **changes)
    assert isinstance(settings, Custom)
    return Plan("custom", settings, data, fitted(settings, data.train.x1), network(settings), FloatFlow())


def _noted(plan: Plan, key: str, note: str) -> Plan:
    return replace(plan, data=replace(plan.data, notes={**plan.data.notes, key: note}))


def _used(plan: Plan) -> Plan:
    """The plan, with a warning where its flows leave a part of the data unused."""
    whole, train = plan.data.whole, plan.data.train
    if whole is None or plan.settings.pairing not in plan.flow.offline:
        return plan
    return _noted(
        plan, "unused", f"all flows are trained on the {len(train)} data that fit memory, of {len(whole)}, because "
        f"--pairing {plan.settings.pairing} pairs rows in memory; minibatch-assignment and independent take all",
    )  # fmt: skip


def _ranged(plan: Plan, source: External) -> Plan:
    """The plan, with a warning where the drafts seem to be images in [0, 1]."""
    if plan.data.bounds is None or float(plan.data.train.x1.min()) > -0.5:
        return plan
    few = source.draw(16, noise=Noise.of(0, 16)).x0 if callable(source.draft) else source.draft
    assert isinstance(few, Tensor)
    if float(few.min()) < 0:
        return plan
    return _noted(
        plan, "drafts", "no draft is below 0, where the data go down to -1: if the drafts lie in [0, 1], give 2 x - 1"
    )


def _aligned(plan: Plan, source: External) -> Plan:
    """Drafts aligned with the user's data: those of the training rows are paired, the others are what is drawn from."""
    drafts, rows = source.draft, plan.data.rows
    n = plan.data.numbered or plan.data.total
    if not isinstance(drafts, Tensor) or len(drafts) != n or not rows:
        count = f"{len(drafts)} drafts" if isinstance(drafts, Tensor) else "a callable"
        raise ValueError(
            f"--pairing is 'given', which needs one draft for each of the {n} data of an array or folder, in the same "
            f"order; got {count}"
        )
    others = torch.cat([rows[k] for k in ("validation", "heldout") if k in rows])
    fresh = External(drafts[others], plan.data.shape)
    return replace(plan, draft=ready(fresh), aligned=drafts[rows["train"]])


def _written(plan: Plan, path: Path, codec: Alphabet) -> Plan:
    """Drafts of texts from a file; with what they were refined to, and ``pairing`` "given", those pairs are trained on: all
    but the last fifth, which samples start from.

    Raises:
        ValueError: what ``drafts_of`` raises; pairing "given" without refined texts, or with fewer than 200 pairs.
    """
    drafts, refined = drafts_of(path, codec, plan.data.shape[0])
    if plan.settings.pairing != "given":
        given = External.of(drafts, plan.data.shape, None, len(codec))
        return replace(plan, draft=ready(given))
    if refined is None:
        raise ValueError(
            f'--pairing is \'given\', but {path} holds drafts alone: give {{"draft": ..., "refined": ...}} lines'
        )
    if len(drafts) < 200:
        raise ValueError(f"{path} holds {len(drafts)} pairs: too few to tell, give at least 200")
    order = permutation(plan.settings.data_seed, len(drafts), "given")
    rows, rest = order[: len(order) * 4 // 5], order[len(order) * 4 // 5 :]
    fresh = External.of(drafts[rest], plan.data.shape, None, len(codec))
    pairs = Batch(refined[rows], {}, rows, Start(drafts[rows]))
    return replace(plan, draft=ready(fresh), given=pairs)


def _drawable(plan: Plan) -> None:
    """ValueError where the data are too few to fit the draft that was asked for."""
    n, s = len(plan.data.train), plan.settings
    if isinstance(s, Floats) and s.draft == "mixture" and n < 2 * s.components:
        raise ValueError(
            f"--components is {s.components}; a mixture fitted to {n} data takes at most {n // 2}, lower it"
        )


def path_of(draft: str) -> Path:
    """The file or folder that a draft's name means; ValueError if it is none."""
    path = Path(draft).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix.lower() in (".npy", ".npz", ".txt", ".jsonl")):
        return path
    if path.is_file():
        raise ValueError(
            f"the draft {draft!r} is a file of another kind; give drafts as .npy or .npz, a folder of images, or texts (.txt)"
        )
    if path.suffix.lower() in (".npy", ".npz"):
        raise ValueError(f"the draft {draft!r} does not exist; give the path of a .npy or .npz file of drafts")
    raise ValueError(f"the draft {draft!r} is neither one of ours nor a file or folder; {suggest(draft, KNOWN_DRAFTS)}")


def _named_alike(images: Path, drafts: Path, data: DataSet) -> None:
    """ValueError unless the drafts' files have the names of the images that were read, suffixes aside."""
    from warmflow.data.images import names_of

    unread = [one["file"] for one in data.notes.get("unreadable_files", ())]
    theirs, ours = (
        [str(Path(name).with_suffix("")) for name in names]
        for names in (names_of(images.expanduser(), unread), names_of(drafts))
    )
    if theirs != ours:
        odd = next((name for name in sorted(set(theirs) ^ set(ours))), "the same name twice")
        raise ValueError(
            f"--pairing is 'given', and the files of {drafts} are not named as the images of {images} are (first: {odd}): give "
            "every image that can be read one draft of its name, subfolder included"
        )


def read_drafts(path: Path, shape: tuple[int, ...]) -> torch.Tensor:
    """Ready drafts (N, *shape) of a file, or of a folder of images, by name, read at the data's own size and colours."""
    from warmflow.data.arrays import read_arrays
    from warmflow.data.images import from_uint8, read_folder, to_images

    if path.is_dir():
        if len(shape) != 3:
            raise ValueError(
                f"the draft {str(path)!r} is a folder of images, but the data have shape {shape}: give a .npy file"
            )
        images, _, failed = read_folder(path, shape[1], "L" if shape[0] == 1 else "RGB")
        if failed:
            name, reason = failed[0]
            raise ValueError(f"the draft {str(path / name)!r} cannot be read ({reason}): mend or remove it")
        if not len(images):
            raise ValueError(f"the draft {str(path)!r} is a folder without images: give a folder of png or jpg files")
        return from_uint8(images)
    x, _ = read_arrays(path)
    if x.dtype == np.uint8 and len(shape) == 3:
        return to_images(x, str(path))
    if x.dtype.kind not in "fiub":
        raise ValueError(f"the draft {str(path)!r} is of {x.dtype}; save an array of numbers, (N, *shape)")
    if len(shape) == 1 and x.dtype.kind in "iu":
        return torch.as_tensor(x.astype(np.int64))  # tokens; on points the check of the drafts' type says so
    return torch.as_tensor(x.astype(np.float32))
