"""How to make a run again: the command, or the Python call where the command line cannot say it.

The configuration holds every option of the problem, the training and the methods. A command is written with all of them that are
not null. The command line cannot name the user's own arrays and models, one class of methods twice, or a draft or teacher with
options of its own: then the call in Python is written.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Options = Mapping[str, Any]
OWN_ARRAYS = "arrays"
"""The name of the problem that holds the user's own arrays."""
RUNTIME = ("compile", "channels_last")
"""Options that change how fast a run is, and not its result."""


def lines(config: Options, candidates: Sequence[str] = ()) -> list[str]:
    """The command or call in pieces between which a line may break; empty where what was asked is not known.

    Args:
        config: config.json. Its "command" (a text or a list of words) is taken where it is there; "methods_given" are the labels
            of the methods that the user named.
        candidates: the labels of the candidates, which stand in for "methods_given".
    """
    given = config.get("command")
    if isinstance(given, list):
        given = shlex.join(str(part) for part in given)
    if isinstance(given, str) and given.strip():
        return _at_flags(given)
    if config.get("kind") == "evaluate":
        return ["warmflow.evaluate(real, baseline=..., candidates=...)  # with your samples"]
    asked = _mapping(config.get("asked"))
    problem, kind = _mapping(asked.get("problem")), config.get("kind")
    if not problem.get("name"):
        return []
    methods = _methods(config, asked, candidates)
    if _sayable(problem, methods, asked):
        name = str(config.get("recipe") or problem["name"])
        words = (
            _compared(name, problem, methods, asked) if kind == "compare" else _trained(name, problem, methods, asked)
        )
        return _at_flags(shlex.join(words))
    return _python(config, problem, methods, asked)


def method_name(told: Any) -> str:
    """The name of a method by the class that the configuration tells: "WarmStart" as "warm-start"; empty where it is not told."""
    told = _mapping(told)
    return str(told.get("name") or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", str(told.get("class") or "")).lower())


def _mapping(value: Any) -> Options:
    return value if isinstance(value, Mapping) else {}


def _at_flags(command: str) -> list[str]:
    first, *rest = command.split(" --")
    return [first, *("--" + part for part in rest)]


def _methods(config: Options, asked: Options, candidates: Sequence[str]) -> list[Options]:
    """The methods that the user named; baselines and controls are added by the comparison itself."""
    if config.get("kind") == "run":
        return [_mapping(asked.get("method"))]
    known, given = _mapping(asked.get("methods")), config.get("methods_given")
    named = [str(name) for name in given] if isinstance(given, list) else [n for n in candidates if n in known]
    return [_mapping(known.get(name)) for name in named or known]


def _sayable(problem: Options, methods: Sequence[Options], asked: Options) -> bool:
    """Whether the command line has words for all of it."""
    if problem["name"] == OWN_ARRAYS and "data" not in problem:
        return False
    every = [*methods, *(_mapping(m) for m in _mapping(asked.get("methods")).values())]
    if any(set(m) <= {"class"} for m in every):  # a model of the user's own
        return False
    if any(isinstance(value, Mapping) for m in methods for value in m.values()):
        return False
    seeds = asked.get("seeds")
    counted = not isinstance(seeds, list) or seeds == list(range(len(seeds)))
    return counted and len({m.get("class") for m in methods}) == len(methods)


# ---------------------------------------------------------------- the command line


def _flags(options: Options, prefix: str = "", without: Sequence[str] = ()) -> Iterator[str]:
    """Options as flags. Those that are null, empty, or only change the speed are left out."""
    for key, value in options.items():
        if value is None or value == "" or key in without:
            continue
        name = str(key).replace("_", "-")
        before = f"--{prefix}." if prefix else "--"
        if isinstance(value, bool):
            yield f"{before}{name}" if value else f"{before}no-{name}"
        else:
            yield f"{before}{name}"
            yield ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _problem_flags(name: str, problem: Options) -> Iterator[str]:
    """The options of a problem, without those that its name carries (the path in folder:PATH)."""
    carried = [k for k, v in problem.items() if isinstance(v, str) and v and (name == v or name.endswith(f":{v}"))]
    return _flags(problem, without=("name", *carried))


def _method_flags(methods: Sequence[Options]) -> Iterator[str]:
    for method in methods:
        yield from _flags(method, method_name(method), without=("class", "name"))


def _training_flags(asked: Options) -> Iterator[str]:
    left = ("updates",) if asked.get("minutes") is not None else ()  # they follow from the minutes
    return _flags(_mapping(asked.get("training")), without=(*RUNTIME, *left))


def _device(asked: Options) -> list[str]:
    device = asked.get("device")
    return ["--device", str(device)] if device not in (None, "cpu") else []


def _compared(name: str, problem: Options, methods: Sequence[Options], asked: Options) -> list[str]:
    seeds = asked.get("seeds")
    how = {key: asked.get(key) for key in ("calls", "samples", "minutes")}
    how |= {"seeds": len(seeds) if isinstance(seeds, list) else None, "convergence": asked.get("convergence") or None}
    return [
        "warmflow", "compare", name, "--methods", ",".join(map(method_name, methods)), *_method_flags(methods), *_flags(how),
        *_problem_flags(name, problem), *_training_flags(asked), *_device(asked),
    ]  # fmt: skip


def _trained(name: str, problem: Options, methods: Sequence[Options], asked: Options) -> list[str]:
    return [
        "warmflow", "train", name, "--method", method_name(methods[0]), *_method_flags(methods),
        *_flags({"seed": asked.get("seed")}), *_problem_flags(name, problem), *_training_flags(asked), *_device(asked),
    ]  # fmt: skip


# ---------------------------------------------------------------- Python


def _value(value: Any) -> str:
    if isinstance(value, Mapping) and "class" in value:
        return _call(str(value["class"]), value, without=("class", "name"))
    return repr(value)


def _call(name: str, options: Options, without: Sequence[str] = (), first: str = "") -> str:
    given = [first] if first else []
    given += [f"{k}={_value(v)}" for k, v in options.items() if v is not None and v != "" and k not in without]
    return f"{name}({', '.join(given)})"


def _python(config: Options, problem: Options, methods: Sequence[Options], asked: Options) -> list[str]:
    """The call in Python. The user's own data, models and drafts are given again."""
    own = problem["name"] == OWN_ARRAYS and "data" not in problem
    options = {k: v for k, v in problem.items() if k != "name"}
    what = "data" if own else _call("problem_of", options, first=repr(problem["name"]))
    training = {
        k: v for k, v in _mapping(asked.get("training")).items() if v is not None and v != "" and k not in RUNTIME
    }
    told = ", ".join(f"{k}={v!r}" for k, v in training.items())
    note = "  # run from Python, with your own arrays" if own else "  # run from Python"
    if config.get("kind") == "run":
        made = f"{what}.setup({told})" if not own else f"problem_of(data).setup({told})"
        return [
            f"run_method({_value(methods[0])},",
            f"Parts({made},",
            f"seed={asked.get('seed')!r}),",
            f"Path('run')){note}",
        ]
    how = {k: asked[k] for k in ("seeds", "calls", "samples", "minutes") if asked.get(k) is not None}
    how |= {"convergence": True} if asked.get("convergence") else {}
    listed = ", ".join(_value(m) for m in methods)
    return [f"warmflow.compare({what},", f"[{listed}],", *(f"{k}={v!r}," for k, v in how.items()), f"{told}){note}"]
