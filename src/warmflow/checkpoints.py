"""Run folders, and how their parts are written and read back.

    config.json                 the requested settings, the version, and whether the run is complete
    checkpoint.safetensors      everything needed to resume training, in one file that is replaced atomically
    model.json + .safetensors   the finished sampler with averaged weights;  raw.*: the same without averaging
    log.jsonl                   one line every few updates
    README.md                   a model card: what the run is and how to use it

A part is a frozen dataclass of this library, or a network that stores its constructor's arguments. ``config`` turns it into
JSON and tensors, ``rebuild`` turns them back. Nothing is pickled. Classes are looked up inside ``warmflow`` only; a user's own
class must be passed in ``allow``, a user's own callable by its name.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from warmflow import __version__
from warmflow.contracts import Coupling, Field, Solver, Source
from warmflow.contracts import Path as FlowPathBase
from warmflow.couplings import Principal
from warmflow.failures import of_memory
from warmflow.fields.schedules import Schedule
from warmflow.files import Damaged, as_number, make_folder, read_json, read_tensors, reason, write_json, write_tensors
from warmflow.networks import Network
from warmflow.number_checks import numbers_checked
from warmflow.printing import in_brief, say
from warmflow.run_config import check_version, read_config
from warmflow.sampler import Clip, Sampler
from warmflow.schemas import check_arguments
from warmflow.strangers import check_numbers, network_like, part_class

PARTS = (Source, Coupling, FlowPathBase, Field, Solver, Network, Clip, Principal, Schedule)


def class_name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


LONGEST_NAME = 200
"""Letters of the longest name of a class."""
Described = tuple[object, dict[str, Tensor]]


@singledispatch
def config(part: object, name: str = "part") -> Described:
    """Describes a part by JSON and tensors from which ``rebuild`` restores it.

    Fields that hold a user's callable become ``{"given": name}``, with the name of the field.

    Raises:
        ValueError: a value that a run folder cannot hold.
    """
    if dataclasses.is_dataclass(part):
        fields: dict[str, object] = {}
        tensors: dict[str, Tensor] = {}
        for f in dataclasses.fields(part):
            fields[f.name], more = config(getattr(part, f.name), f"{name}.{f.name}")
            tensors |= more
        fields |= {
            k: {"given": f"{name}.{k}", "was": fields[k]} for k in _again(type(part)) if isinstance(fields[k], str)
        }
        return {"class": class_name(type(part)), "fields": fields}, tensors
    if callable(part):
        return {"given": name}, {}
    raise ValueError(f"{name} is a {type(part).__name__}, which a run folder cannot hold: use a frozen dataclass")


@config.register
def _(part: Tensor, name: str = "part") -> Described:
    return {"tensor": name}, {name: part.detach().cpu().contiguous()}


@config.register
def _(part: nn.Module, name: str = "part") -> Described:
    tensors = {f"{name}.{k}": v.detach().cpu().contiguous() for k, v in part.state_dict().items()}
    if not hasattr(part, "arguments"):
        return {"given": name, "state": True}, tensors
    return {"class": class_name(type(part)), "arguments": part.arguments, "weights": name}, tensors


@config.register
def _(part: bool | int | float | str | None, name: str = "part") -> Described:
    return part, {}


@config.register
def _(part: np.generic, name: str = "part") -> Described:
    return part.item(), {}


@config.register
def _(part: type, name: str = "part") -> Described:
    return {"given": name}, {}


@config.register
def _(part: tuple, name: str = "part") -> Described:
    items, tensors = _items(part, name)
    return {"tuple": items}, tensors


@config.register
def _(part: frozenset, name: str = "part") -> Described:
    items, tensors = _items(sorted(part), name)
    return {"set": items}, tensors


def _items(parts: Iterable[object], name: str) -> tuple[list[object], dict[str, Tensor]]:
    items = [config(part, f"{name}_{i}") for i, part in enumerate(parts)]
    return [described for described, _ in items], {k: v for _, tensors in items for k, v in tensors.items()}


def rebuild(json: Any, tensors: Mapping[str, Tensor], allow: Iterable[type] = (), **given: Any) -> Any:
    """Restores the part that ``config`` described.

    Args:
        allow: the user's own classes that may be instantiated.
        given: the user's own callables and modules, by the last part of their name in the configuration.

    Raises:
        ValueError: a class that is not allowed, or a callable that was not passed again by name.
    """
    check_numbers(json)
    return _rebuilt(json, tensors, tuple(allow), given)


def _rebuilt(json: Any, tensors: Mapping[str, Tensor], allow: tuple[type, ...], given: Mapping[str, Any]) -> Any:
    if not isinstance(json, dict):
        return json
    if "tensor" in json:
        return tensors[json["tensor"]]
    if "given" in json:
        word = str(json["given"]).rsplit(".", 1)[-1]
        if word not in given:
            what = f"the {word} {json['was']!r:.100}" if json.get("was") else f"a {word} of your own"
            flag = f" (--{word} NAME)" if json.get("was") else ""
            raise ValueError(f"the run was made with {what}: pass it again, {word}=...{flag}")
        if json.get("state"):
            _load(given[word], tensors, json["given"])
            given[word].eval()
        return given[word]
    if "tuple" in json:
        return tuple(_rebuilt(v, tensors, allow, given) for v in json["tuple"])
    if "set" in json:
        return frozenset(_rebuilt(v, tensors, allow, given) for v in json["set"])
    kind = part_class(json["class"], PARTS, allow)
    if "arguments" in json:
        check_arguments(kind, json["arguments"])
        network = network_like(kind, json["arguments"], _state(tensors, json["weights"]), kind in allow)
        _load(network, tensors, json["weights"])
        return network.eval()
    fields = dict(json["fields"])
    for key in _again(kind):
        if not isinstance(fields[key], dict):
            fields[key] = {"given": key, "was": fields[key]}
    made = {k: _rebuilt(v, tensors, allow, given) for k, v in fields.items()}
    check_arguments(kind, made)
    return kind(**made)


def _again(kind: type) -> tuple[str, ...]:
    """The fields of a part that hold a name of something outside of a run folder: it is opened only if the caller names it."""
    return getattr(kind, "again", ())


def _load(network: nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
    network.load_state_dict(_state(tensors, prefix))
    bad = [k for k, v in network.named_parameters() if not bool(torch.isfinite(v).all())]
    if bad:
        raise TypeError(f"the weights {bad[0]} are not finite")


def _state(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The state of the network that is called ``prefix``."""
    return {k[len(prefix) + 1 :]: v for k, v in tensors.items() if k.startswith(prefix + ".")}


def differences(before: object, now: object, at: str = "") -> list[str]:
    """The differences between two JSON values, one line each, in the form ``name was X, is now Y``."""
    if isinstance(before, dict) and isinstance(now, dict):
        lines = []
        # "data" comes last, because another option may be the reason why the data differ; with others alike, updates may grow
        for k in sorted(
            before.keys() | now.keys(), key=lambda k: (k == "data", k in ("updates", "restarts"), k != "class", k)
        ):
            lines += differences(before.get(k), now.get(k), f"{at}.{k}" if at else k)
        return lines
    return (
        []
        if before == now
        else [f"{in_brief(at)} was {in_brief(json.dumps(before))}, is now {in_brief(json.dumps(now))}"]
    )


def open_run(
    folder: Path, asked: Mapping[str, object], goes_on: Callable[[Any, Any], bool] | None = None
) -> dict[str, Any]:
    """Starts a run folder, or opens the one that the same command started. Returns the content of config.json.

    Args:
        asked: the requested settings, as JSON values.
        goes_on: tells of the settings in the folder and the requested ones whether the run can go on to the latter; it is then
            no longer complete.

    Raises:
        ValueError: the folder holds a run with other settings (the first difference is named) or of another version, or weights
            of an unknown run.
    """
    asked = json.loads(json.dumps(asked, default=as_number))
    make_folder(folder)
    path = folder / "config.json"
    if path.exists():
        found = {"state": "started", **read_config(folder)}
        check_version(found, folder)
        changed = differences(found.get("asked"), asked)
        if changed and goes_on is not None and goes_on(found.get("asked"), asked):
            found = {**found, "asked": asked, "state": "started"}
            write_json(path, found)
        elif changed:
            more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
            raise ValueError(
                f"{folder} holds a run with other settings: {changed[0]}{more}; choose another --out or restore them"
            )
        return found
    weights = next(
        (folder / name for name in ("checkpoint.safetensors", "model.safetensors") if (folder / name).exists()), None
    )
    if weights is not None:
        raise ValueError(
            f"{folder} has no config.json that says of which run {weights.name} is: put it back, or choose another --out"
        )
    found = {"warmflow": __version__, "kind": asked.get("kind", "run"), "state": "started", "asked": asked}
    write_json(path, found)
    return found


def save_part(folder: Path, name: str, part: object) -> None:
    """Writes ``name``.json and ``name``.safetensors."""
    described, tensors = config(part)
    write_tensors(folder / f"{name}.safetensors", tensors)
    write_json(folder / f"{name}.json", described)


@numbers_checked
def load_part(folder: str | Path, name: str = "model", allow: Iterable[type] = (), **given: Any) -> Any:
    """Loads the part that ``save_part`` wrote, with its weights.

    Raises:
        ValueError: the folder does not contain it, it was made by another version, or a class or callable must be passed again.
    """
    folder = Path(folder)
    check_version(read_config(folder), folder)
    if not (folder / f"{name}.json").exists():
        runs = sorted(folder.glob("seeds/*/*/config.json"))
        if runs and name in ("model", "raw"):
            raise ValueError(f"{folder} is a comparison; name one of the runs in it, like {runs[-1].parent}")
        raise ValueError(f"{folder} has no finished {name}: run the same training command again to complete it")
    described = read_json(folder / f"{name}.json")
    check_numbers(described, str(folder / f"{name}.json"))
    tensors, _ = read_tensors(folder / f"{name}.safetensors")
    with fitting(folder, name):
        return rebuild(described, tensors, allow, **given)


@contextmanager
def fitting(folder: Path, name: str = "model") -> Iterator[None]:
    """Makes one line of the errors of a part that is built from a folder, or used for the first time: its description and its
    tensors do not fit each other, or are damaged."""
    try:
        yield
    except (ValueError, OSError):
        raise
    except Exception as error:
        if of_memory(error):
            raise
        said = f"{reason(error)} is missing" if isinstance(error, KeyError) else reason(error)
        raise Damaged(
            f"{folder}: {name}.json and {name}.safetensors do not fit each other ({said}): delete both and run the same "
            "command again"
        ) from error


def again(folder: Path, name: str = "model", **given: Any) -> Any:
    """The part that is in the folder, as by ``load_part``; None, with a message, if its files are damaged: the caller makes it
    again.
    """
    try:
        return load_part(folder, name, **given)
    except Damaged as error:
        say(f"warning: {str(error).partition(': delete')[0]}: it is made again")
        return None


@numbers_checked
def load(folder: str | Path, *, raw: bool = False, allow: Iterable[type] = (), **given: Any) -> Sampler:
    """Loads the sampler of a finished run: ``load("run")(16, seed=0).x``.

    Args:
        raw: load the weights without averaging.

    Raises:
        ValueError: see :func:`load_part`; or the folder does not hold a sampler.
    """
    sampler = load_part(folder, "raw" if raw else "model", allow, **given)
    if not isinstance(sampler, Sampler):
        raise ValueError(f"{folder} holds a {type(sampler).__name__}, not a sampler")
    return sampler


def card(folder: Path, title: str, facts: Mapping[str, object]) -> str:
    """The README.md of a run: what it is, how it was made, and how to use it."""
    rows = "\n".join(f"| {k} | {v} |" for k, v in facts.items())
    use = f"```\nwarmflow sample {folder} -n 64 --out samples.png\n```"
    python = f"```python\nimport warmflow\nx = warmflow.load('{folder}')(64, seed=0).x\n```"
    return f"# {title}\n\n| | |\n|---|---|\n{rows}\n\n{use}\n\n{python}\n"


def finite(value: float | None) -> float | None:
    """The number, or None if it is not finite, because JSON has no infinity or NaN."""
    return None if value is None or not math.isfinite(value) else float(value)


def device_of(device: str) -> torch.device:
    """The torch device with this name; raises ValueError if the machine does not have it."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError):
        raise ValueError(f"device is {device!r}, which this machine does not have; use cpu") from None
    return found
