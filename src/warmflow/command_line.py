"""From options classes to commands, by cyclopts: groups of flags whose classes depend on what was typed, and errors in one line.

    problem's options      --size 16            training's options    --updates 2000
    a method's options     --warm-start.sigma 0.3
    a draft's options      --gan.updates 4000

A command's options follow from its problem and its methods, so ``warmflow compare folder --help`` shows those of a folder.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import cyclopts
from cyclopts import App, Parameter
from pydantic import ValidationError

from warmflow.options import OptionError, option_error


@dataclass(frozen=True)
class Group:
    """Flags that are made from an options class.

    Args:
        name: of the argument that receives the options, None where none was typed.
        prefix: what stands before each flag; empty for none.
        title: the heading in the help.
    """

    name: str
    kind: type[Any]
    prefix: str
    title: str

    def parameter(self) -> inspect.Parameter:
        """The parameter that cyclopts reads."""
        name = f"--{self.prefix}" if self.prefix else "*"
        kind: Any = self.kind | None
        hint = Annotated[kind, Parameter(name=name, group=self.title)]
        return inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)


def with_groups(function: Callable[..., Any], groups: Sequence[Group]) -> Callable[..., Any]:
    """The function, which takes ``**given``, with these groups as keyword-only parameters."""

    def command(*args: Any, **given: Any) -> Any:
        return function(*args, **given)

    own = [p for p in inspect.signature(function).parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    parameters = [*own, *(g.parameter() for g in groups)]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    hints = {k: v for k, v in inspect.get_annotations(function, eval_str=True).items() if k not in ("return", "given")}
    command.__annotations__ = {**hints, **{g.name: g.parameter().annotation for g in groups}}
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    return command


def typed(argv: Sequence[str], flag: str, default: str = "") -> str:
    """The value of a flag as it was typed, before anything is parsed; the default where it was not."""
    for i, word in enumerate(argv):
        if word == flag and i + 1 < len(argv):
            return argv[i + 1]
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return default


def flag_of(name: str, prefix: str = "") -> str:
    """``learning_rate`` as ``--learning-rate``, with a prefix ``--warm-start.sigma``."""
    dashed = name.replace("_", "-")
    return f"--{prefix}.{dashed}" if prefix else f"--{dashed}"


def in_flags(error: OptionError, prefixes: Mapping[str, str]) -> str:
    """The error with the option as the flag that was typed; ``prefixes`` by the name of the options class."""
    prefix = prefixes.get(error.owner, "")
    if error.name:
        return f"{flag_of(error.name, prefix)} {error.said}"
    first, _, rest = error.said.partition(" ")
    return f"{flag_of(first, prefix)} {rest}" if first.isidentifier() else error.said


def run(app: App, argv: Sequence[str] | None = None, prefixes: Mapping[str, str] | None = None) -> int:
    """Runs a command; the exit code. The user's errors are one line on stderr and code 2."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        found = app(words, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        cause = error.__cause__
        if isinstance(cause, ValidationError):
            return failed(
                in_flags(option_error(str(cause.title).removeprefix("nullable[").rstrip("]"), cause), prefixes or {})
            )
        command = next((w for w in words if not w.startswith("-")), "")
        return failed(f"{str(error).rstrip('.')}; see warmflow {command} --help".replace("  ", " "))
    except KeyboardInterrupt:
        print("stopped; nothing is lost: run the same command again to continue", file=sys.stderr)
        return 130
    except OptionError as error:
        return failed(in_flags(error, prefixes or {}))
    except ValueError as error:
        return failed(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return failed(f"{where}{error.strerror or error}; free space or choose another place")
    return found if isinstance(found, int) else 0


def failed(message: str) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return 2


def given_only(options: object | None) -> dict[str, Any]:
    """The options that differ from their class's defaults."""
    if options is None:
        return {}
    fields = dataclasses.fields(options)  # type: ignore[arg-type]
    return {f.name: getattr(options, f.name) for f in fields if getattr(options, f.name) != f.default}
