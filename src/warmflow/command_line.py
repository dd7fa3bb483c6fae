"""From functions and options classes to commands, by cyclopts.

    problem's options      --size 16            training's options    --updates 2000
    a method's options     --warm-start.sigma 0.3
    a draft's options      --gan.updates 4000

Which options a command has follows from what was typed: ``warmflow compare digits --help`` shows those of digits. A command is
therefore made from its words (``Command``) and then run (``run``). Values are validated by the options classes alone. They name
options (``sigma is -1``); ``in_flags`` turns the names into flags (``--warm-start.sigma is -1``).
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import shlex
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import App, Parameter
from cyclopts.exceptions import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from warmflow.printing import in_brief

KINDS: Mapping[object, str] = {int: "a whole number", float: "a number", bool: "true or false"}
PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
HIDDEN = ("given", "asked")
"""Arguments of a command's function that are no flags."""
Values = dict[str, Any]
Given = Mapping[str, Values]
"""The options that were typed, by the key of their group."""


LONGEST = 1_900
"""The largest number of characters of a message: a damaged file may hold values of any length."""
NUMBERS: Mapping[object, Callable[[str], float]] = {int: int, float: float}


def number(kind: object, tokens: Sequence[cyclopts.Token]) -> str | float:
    """The value of a flag: text, or a number that is written as one. (cyclopts alone rounds 2.5 to a whole number.)"""
    wanted = inner(kind)
    if wanted not in NUMBERS:
        return tokens[0].value
    try:
        return NUMBERS[wanted](tokens[0].value)
    except ValueError:
        raise ValueError(f"it must be {KINDS[wanted]}") from None


Int = Annotated[int, Parameter(converter=number)]
MaybeInt = Annotated[int | None, Parameter(converter=number)]
MaybeFloat = Annotated[float | None, Parameter(converter=number)]
Float = Annotated[float, Parameter(converter=number)]
Switch = Annotated[bool, Parameter(negative=())]
"""A flag without a value, off by default."""


def inner(hint: object) -> object:
    """The type of an optional value; text where several types are possible."""
    if typing.get_origin(hint) is Annotated:
        return inner(typing.get_args(hint)[0])
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint
    known = [part for part in typing.get_args(hint) if part is not type(None)]
    return known[0] if len(known) == 1 else str


# ---------------------------------------------------------------- options classes as groups of flags


@dataclass(frozen=True)
class Group:
    """Flags that are made from an options class.

    Args:
        key: names the group among the options that a command is given.
        prefix: what stands before each flag; empty for none.
        title: the heading in the help.
        defaults: values that differ from the defaults of the class, to be shown in the help.
        without: options that are no flags.
        hidden: options that do not apply to what was typed: the help does not show them.
    """

    key: str
    kind: type
    prefix: str
    title: str
    defaults: Mapping[str, object] = dataclasses.field(default_factory=dict)
    without: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The options that have a flag."""
        return [f.name for f in dataclasses.fields(self.kind) if f.name not in self.without]

    def flag(self, name: str) -> str:
        """The flag of an option."""
        return flag_of(name, self.prefix)

    @property
    def flags(self) -> list[str]:
        """The flags of the group."""
        return [self.flag(name) for name in self.names]

    def parameters(self) -> list[inspect.Parameter]:
        """The parameters that cyclopts reads, one for each option."""
        hints, docs = typing.get_type_hints(self.kind), documented(self.kind)
        group = cyclopts.Group.create_ordered(self.title)
        found = []
        for f in dataclasses.fields(self.kind):
            if f.name in self.without:
                continue
            kind = inner(hints[f.name])
            known = [value for value in typing.get_args(kind) if value] if typing.get_origin(kind) is Literal else []
            kind = kind if kind in (int, float, bool) else str
            said = f"  [{', '.join(known)}]" if known else ""
            said += shown_default(f.name, self.defaults.get(f.name, f.default), self.prefix)
            off = {"negative": flag_of(f"no_{f.name}", self.prefix)} if kind is bool else {"converter": number}
            how = Parameter(
                name=self.flag(f.name),
                group=group,
                show_default=False,
                help=f"{docs.get(f.name, '')}{said}",
                show=f.name not in self.hidden,
                **off,
            )
            found.append(
                inspect.Parameter(
                    self.parameter(f.name),
                    inspect.Parameter.KEYWORD_ONLY,
                    default=None,
                    annotation=Annotated[kind | None, how],
                )
            )
        return found

    def parameter(self, name: str) -> str:
        """The name of an option's parameter, which no other group has."""
        return re.sub(r"\W", "_", f"{self.key}__{name}")


def shown_default(name: str, value: object, prefix: str) -> str:
    """The text of the help about a default; empty if the option's own text states the default."""
    if isinstance(value, bool):
        return f"  [default: {flag_of(name, prefix)}]" if value else ""
    return f"  [default: {value}]" if isinstance(value, int | float | str) and value != "" else ""


def documented(kind: type) -> dict[str, str]:
    """The text below each option of an options class and of the classes that it extends."""
    found: dict[str, str] = {}
    for cls in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        body = typing.cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]).body
        for before, after in itertools.pairwise(body):
            match before, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=text)):
                    found[name] = " ".join(str(text).split())
    return found


def flag_of(name: str, prefix: str = "") -> str:
    """``learning_rate`` as ``--learning-rate``, with a prefix ``--warm-start.sigma``."""
    dashed = name.replace("_", "-")
    return f"--{prefix}.{dashed}" if prefix else f"--{dashed}"


# ---------------------------------------------------------------- what was typed


def typed(argv: Sequence[str], flag: str, default: str = "") -> str:
    """The value of a flag as it was typed, before anything is parsed; the default where it was not."""
    for i, word in enumerate(argv):
        if word == flag and i + 1 < len(argv):
            return argv[i + 1]
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return default


def positional(argv: Sequence[str], switches: Iterable[str]) -> list[str]:
    """The words that are neither flags nor values of flags.

    Args:
        switches: the flags without a value.
    """
    alone, found = {*switches, "--help", "-h", "--quiet"}, []
    for before, word in zip(["", *argv], argv, strict=False):
        follows_flag = before.startswith("-") and before not in alone and "=" not in before
        if not word.startswith("-") and not follows_flag:
            found.append(word)
    return found


# ---------------------------------------------------------------- commands


@dataclass(frozen=True)
class Command:
    """A command with the options that belong to what was typed.

    Args:
        function: takes its own arguments, those of ``bound``, and ``given`` (the options that were typed) where it has such an
            argument.
        bound: arguments of the function that are no flags.
        epilogue: stands at the end of the help.
        unknown: what to say about a flag that the command does not have; empty for the nearest known flag.
        hint: the words whose ``--help`` lists the options.
    """

    name: str
    function: Callable[..., int | None]
    groups: Sequence[Group] = ()
    bound: Mapping[str, object] = dataclasses.field(default_factory=dict)
    epilogue: str = ""
    unknown: Callable[[str], str] = lambda _: ""
    hint: str = ""

    @property
    def help(self) -> str:
        """The words that show the help of this command."""
        return f"warmflow {self.name}{f' {self.hint}' if self.hint else ''} --help"

    @property
    def own(self) -> list[inspect.Parameter]:
        """The function's own parameters."""
        found = inspect.signature(self.function, eval_str=True).parameters.values()
        return [p for p in found if p.name not in HIDDEN]

    @property
    def signature(self) -> inspect.Signature:
        """The parameters of the function and of the groups."""
        return inspect.Signature([*self.own, *(p for group in self.groups for p in group.parameters())])

    def call(self, *args: object, **values: object) -> int | None:
        """The function with the options of the groups put together."""
        given: dict[str, Values] = {}
        for group in self.groups:
            found = {name: values.pop(group.parameter(name), None) for name in group.names}
            given[group.key] = {name: value for name, value in found.items() if value is not None}
        more = {**self.bound, **({"given": given} if self.groups else {})}
        return self.function(*args, **values, **more)

    @property
    def own_flags(self) -> dict[str, str]:
        """The flags of the function's own parameters, by name."""
        found = {}
        for p in self.own:
            if p.kind is not inspect.Parameter.KEYWORD_ONLY:
                continue
            names = [name for how in getattr(p.annotation, "__metadata__", ()) for name in (how.name or ())]
            found[p.name] = names[0] if names else flag_of(p.name)
        return found

    @property
    def flags(self) -> list[str]:
        """Every flag of the command."""
        return [*self.own_flags.values(), *(flag for group in self.groups for flag in group.flags)]

    def app(self) -> App:
        """The command as cyclopts runs it."""
        places = "".join(
            f" {p.name.upper()}{'...' if p.kind is p.VAR_POSITIONAL else ''}" for p in self.own if p.kind in PLACED
        )
        app = App(
            name=f"warmflow {self.name}", usage=f"Usage: warmflow {self.name}{places} [OPTIONS]",
            help=unwrapped(inspect.getdoc(self.function) or ""),
            help_epilogue=self.epilogue or None, version_flags=(), help_format="plaintext", group_commands="Help",
            suppress_keyboard_interrupt=False,
        )  # fmt: skip

        def command(*args: object, **values: object) -> int | None:
            return self.call(*args, **values)

        command.__signature__ = self.signature  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in self.signature.parameters.values()}
        app.default(command)
        return app


def unwrapped(text: str) -> str:
    """A docstring with each paragraph in one line, so that it fits any terminal; examples stay as they are."""
    parts = text.split("\n\n")
    return "\n\n".join(part if part.startswith("warmflow ") else " ".join(part.split()) for part in parts)


def run(command: Command, words: Sequence[str]) -> int:
    """Runs a command; the exit code.

    Raises:
        ValueError: the user's errors, in one line.
    """
    try:
        code = command.app()(
            list(words), exit_on_error=False, print_error=False, help_on_error=False, result_action="return_value"
        )
        return int(code or 0)
    except UnknownOptionError as error:
        flag = error.token.keyword or error.token.value
        said = command.unknown(flag) or f"unknown option {flag}; {nearest(flag, command.flags)}see {command.help}"
        raise ValueError(said) from None
    except UnusedCliTokensError as error:
        said = f"unexpected {' '.join(error.unused_tokens or ())!r}"
    except MissingArgumentError as error:
        said = f"{flag_name(error.argument)} {'needs a value' if error.keyword else 'is missing'}"
    except RepeatArgumentError as error:
        said = f"{error.token.keyword or flag_name(error.argument)} is given twice: give it once"
    except CoercionError as error:
        said = of_value(error)
    except CycloptsError as error:
        said = str(error).rstrip(".")
    except ValueError as error:
        raise ValueError(in_brief(in_flags(error, command) + fitting(error, command, words), LONGEST)) from None
    raise ValueError(f"{said}; see {command.help}")


def of_value(error: CoercionError) -> str:
    """What is wrong with the value of a flag."""
    if error.token is None:
        return str(error).rstrip(".")
    name, value = error.token.keyword or flag_name(error.argument), error.token.value
    choices = typing.get_args(inner(error.target_type)) if error.argument is not None else ()
    if choices:
        from warmflow.options import suggestion

        return f"{name} is {value!r}; {suggestion(value, choices)}"
    return f"{name} is {value!r}; it must be {KINDS.get(inner(error.target_type), 'another kind of value')}"


def flag_name(argument: cyclopts.Argument | None) -> str:
    """The name of an argument for users: --seed, or PROBLEM; empty if it has none."""
    if argument is None:
        return ""
    return argument.name if argument.field_info.is_keyword_only else argument.name.lstrip("-").upper()


def nearest(flag: str, known: Iterable[str]) -> str:
    """ "did you mean --updates? " where one is near: by its spelling, or the same option with a prefix."""
    import difflib

    flags = list(known)
    same = [k for k in flags if k.rpartition(".")[2] == flag.removeprefix("--").rpartition(".")[2] and k != flag]
    near = same or difflib.get_close_matches(flag, flags, n=1, cutoff=0.6)
    return f"did you mean {near[0]}? " if near else ""


def fitting(error: ValueError, command: Command, words: Sequence[str]) -> str:
    """The command as it was typed, with the values that the error gives instead (``failures.Unsuited``); empty without any."""
    instead: Mapping[str, object] = getattr(error, "instead", {})
    found = list(words)
    for flag, value in instead.items():
        for i, word in enumerate(found):
            if word == flag:
                found[i + 1] = str(value)
            elif word.startswith(f"{flag}="):
                found[i] = f"{flag}={value}"
    return f": {shlex.join(['warmflow', command.name, *found])}" if instead else ""


def in_flags(error: ValueError, command: Command) -> str:
    """The error with the option that it begins with as its flag: ``sigma is -1; ...`` as ``--warm-start.sigma is -1; ...``."""
    message = str(error)
    name, _, rest = message.partition(" ")
    if not (rest.startswith("is ") or getattr(error, "name", "") == name):
        return message
    owner = getattr(error, "owner", "")
    groups = sorted(command.groups, key=lambda group: group.kind.__name__ != owner)  # stable: the owner's group first
    for group in groups:
        if name in group.names:
            return f"{group.flag(name)} {rest}"
    return f"{command.own_flags[name]} {rest}" if name in command.own_flags else message
