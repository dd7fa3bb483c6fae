"""How to make a run again: the command, or the Python call where the command line cannot say it.

The configuration holds every option of the problem, the training and the methods. A command is written with all of them that are
not null. The command line cannot name the user's own arrays and models, one class of methods twice, or a draft or teacher with
options of its own: then the call in Python is written.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from warmflow.report.folder import Asked, Config

Options = Mapping[str, object]
OWN_ARRAYS = "arrays"
"""The name of the problem that holds the user's own arrays."""
RUNTIME = ("compile", "channels_last")
"""Options that change how fast a run is, and not its result."""


def lines(config: Config, candidates: Sequence[str] = ()) -> list[str]:
    """The command or call in pieces between which a line may break; empty where what was asked is not known.

    Args:
        candidates: the labels of the candidates, which stand in for the methods that the user named.
    """
    if config.command.strip():
        return _at_flags(config.command)
    if config.kind == "evaluate":
        return ["warmflow.evaluate(real, baseline=..., candidates=...)  # with your samples"]
    asked = config.asked
    if not asked.problem.get("name"):
        return []
    methods = _methods(config, candidates)
    if _sayable(asked, methods):
        return _at_flags(shlex.join(_command(config, methods)))
    return _python(config, methods)


def method_name(told: Options) -> str:
    """The name of a method by the class that the configuration tells: "WarmStart" as "warm-start"; empty where it is not told."""
    return str(told.get("name") or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", str(told.get("class") or "")).lower())


def _at_flags(command: str) -> list[str]:
    first, *rest = command.split(" --")
    return [first, *("--" + part for part in rest)]


def _methods(config: Config, candidates: Sequence[str]) -> list[Options]:
    """The methods that the user named; baselines and controls are added by the comparison itself."""
    if config.kind == "run":
        return [config.asked.method]
    known, given = config.asked.methods, config.methods_given
    named = [n for n in candidates if n in known] if given is None else given
    return [known.get(name, {}) for name in named or known]


def _own_arrays(asked: Asked) -> bool:
    return asked.problem["name"] == OWN_ARRAYS and "data" not in asked.problem


def _sayable(asked: Asked, methods: Sequence[Options]) -> bool:
    """Whether the command line has words for all of it."""
    if any(set(m) <= {"class"} for m in (*methods, *asked.methods.values())):  # a model of the user's own
        return False
    if any(isinstance(value, dict) for m in methods for value in m.values()):
        return False
    counted = asked.seeds is None or asked.seeds == list(range(len(asked.seeds)))
    return counted and not _own_arrays(asked) and len({str(m.get("class")) for m in methods}) == len(methods)


# ---------------------------------------------------------------- the command line


def _flags(options: Options, prefix: str = "", without: Sequence[str] = ()) -> Iterator[str]:
    """Options as flags. Those that are null, empty, or only change the speed are left out."""
    for key, value in options.items():
        if value is None or value == "" or key in without:
            continue
        name = str(key).replace("_", "-")
        before = f"--{prefix}." if prefix else "--"
        match value:
            case bool():
                yield f"{before}{name}" if value else f"{before}no-{name}"
            case [*parts]:
                yield from (f"{before}{name}", ",".join(map(str, parts)))
            case _:
                yield from (f"{before}{name}", str(value))


def _problem_flags(name: str, problem: Options) -> Iterator[str]:
    """The options of a problem, without those that its name carries (the path in folder:PATH)."""
    carried = [k for k, v in problem.items() if isinstance(v, str) and v and (name == v or name.endswith(f":{v}"))]
    return _flags(problem, without=("name", *carried))


def _method_flags(methods: Sequence[Options]) -> Iterator[str]:
    for method in methods:
        yield from _flags(method, method_name(method), without=("class", "name"))


def _command(config: Config, methods: Sequence[Options]) -> list[str]:
    name, asked = config.problem, config.asked
    if config.kind == "compare":
        what = ["compare", name, "--methods", ",".join(map(method_name, methods))]
        how = {key: asked.json.get(key) for key in ("calls", "samples", "minutes")}
        seeds = None if asked.seeds is None else len(asked.seeds)
        how |= {"seeds": seeds, "convergence": asked.json.get("convergence") or None}
    else:
        what = ["train", name, "--method", method_name(methods[0])]
        how = {"seed": asked.json.get("seed")}
    left = ("updates",) if asked.json.get("minutes") is not None else ()  # they follow from the minutes
    device = asked.json.get("device")
    return [
        "warmflow", *what, *_method_flags(methods), *_flags(how), *_problem_flags(name, asked.problem),
        *_flags(asked.training, without=(*RUNTIME, *left)), *_flags({"device": None if device == "cpu" else device}),
    ]  # fmt: skip


# ---------------------------------------------------------------- Python


def _value(value: object) -> str:
    if isinstance(value, dict) and "class" in value:
        return _call(str(value["class"]), value, without=("class", "name"))
    return repr(value)


def _call(name: str, options: Options, without: Sequence[str] = (), first: str = "") -> str:
    given = [first] if first else []
    given += [f"{k}={_value(v)}" for k, v in options.items() if v is not None and v != "" and k not in without]
    return f"{name}({', '.join(given)})"


def _python(config: Config, methods: Sequence[Options]) -> list[str]:
    """The call in Python. The user's own data, models and drafts are given again."""
    asked, own = config.asked, _own_arrays(config.asked)
    problem = {k: v for k, v in asked.problem.items() if k != "name"}
    what = "data" if own else _call("problem_of", problem, first=repr(asked.problem["name"]))
    training = {k: v for k, v in asked.training.items() if v is not None and v != "" and k not in RUNTIME}
    told = ", ".join(f"{k}={v!r}" for k, v in training.items())
    note = "  # run from Python, with your own arrays" if own else "  # run from Python"
    if config.kind == "run":
        made = f"{what}.setup({told})" if not own else f"problem_of(data).setup({told})"
        return [
            f"run_method({_value(methods[0])},",
            f"Parts({made},",
            f"seed={asked.json.get('seed')!r}),",
            f"Path('run')){note}",
        ]
    keys = ("seeds", "calls", "samples", "minutes")
    how = {k: asked.json[k] for k in keys if asked.json.get(k) is not None}
    how |= {"convergence": True} if asked.json.get("convergence") else {}
    listed = ", ".join(_value(m) for m in methods)
    return [f"warmflow.compare({what},", f"[{listed}],", *(f"{k}={v!r}," for k, v in how.items()), f"{told}){note}"]
