"""Options: typed fields with a range and a help text, declared once on the dataclass that uses them.

    @options
    class Jittered:
        spread: Annotated[float, Field(gt=0)] = 0.35
        \"\"\"Standard deviation of the noise added to a fresh data point.\"\"\"

``Jittered(spread=-1)`` raises ``OptionError: spread is -1; it must be greater than 0``. pydantic validates; the command line is
made from the same fields and their docstrings (``cli``). No torch is imported here.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import AfterValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as validated

from warmflow.brief import shown
from warmflow.number_checks import LARGEST, plain_number
from warmflow.printing import in_brief

C = TypeVar("C")


class OptionError(ValueError):
    """An option with a value that it cannot have.

    Args:
        owner: the class of the option; ``name``: the option, empty where several are at fault; ``said``: the rest of the message.
    """

    def __init__(self, owner: str, name: str, said: str) -> None:
        super().__init__(f"{name} {said}".strip())
        self.owner, self.name, self.said = owner, name, said


Count = Annotated[int, Field(ge=1, le=LARGEST)]
Whole = Annotated[int, Field(ge=0, le=LARGEST)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]


def multiple_of(n: int) -> AfterValidator:
    """A whole number that is a multiple of n."""

    def check(value: int) -> int:
        if value % n:
            raise ValueError(f"it must be a multiple of {n}")
        return value

    return AfterValidator(check)


@dataclasses.dataclass(frozen=True)
class For:
    """Metadata of options that apply to some problems only: to those with one of these marks ("tokens", "labels", "unet")."""

    marks: frozenset[str]


def only(*marks: str) -> For:
    """Metadata: the option is for problems with one of these marks."""
    return For(frozenset(marks))


def applies(of: object, name: str, marks: frozenset[str]) -> bool:
    """Whether an option applies to a problem with these marks."""
    known = getattr(of, "__pydantic_fields__", {})
    limits = [found for found in (known[name].metadata if name in known else ()) if type(found) is For]
    return all(limit.marks & marks for limit in limits)


RUNTIME = "runtime"
"""Metadata of options that change how fast a result is computed and not the result: a run may be resumed with other ones."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
def options(cls: type[C]) -> type[C]:
    """A frozen dataclass whose fields are validated when it is made."""
    if "__repr__" not in vars(cls):
        type.__setattr__(cls, "__repr__", shown)
    made = validated(frozen=True, kw_only=True, config=ConfigDict(arbitrary_types_allowed=True, strict=True))(cls)
    inner: Callable[..., None] = made.__init__

    def checked(self: object, **given: object) -> None:
        known = [f.name for f in fields_of(made)]
        for name in given:
            if name not in known:
                raise OptionError(cls.__name__, name, f"is no option of {cls.__name__}; {suggestion(name, known)}")
        try:
            inner(self, **{name: plain_number(value) for name, value in given.items()})
        except ValidationError as error:
            raise option_error(made, error) from None

    made.__init__ = checked  # type: ignore[method-assign]
    return cast("type[C]", made)


_SAID: Mapping[str, str] = {
    "greater_than": "greater than {gt}", "greater_than_equal": "at least {ge}", "less_than": "less than {lt}",
    "less_than_equal": "at most {le}", "finite_number": "finite",
}  # fmt: skip
_KINDS: Mapping[str, str] = {"int": "a whole number", "float": "a number", "bool": "true or false", "string": "text"}


def option_error(of: type, error: ValidationError) -> OptionError:
    """The first fault in one line: the option, its value and what it may be."""
    owner, found = of.__name__, error.errors()[0]
    context, kind = found.get("ctx", {}), found["type"]
    if kind == "value_error":
        said = str(context["error"])
        if not found["loc"]:  # raised by __post_init__, which names its options itself
            return OptionError(owner, "", said)
    elif kind == "literal_error":
        said = suggestion(found["input"], choices(get_type_hints(of)[str(found["loc"][0])]))
    elif kind in _SAID:
        said = f"it must be {_SAID[kind].format(**context)}"
    else:
        said = f"it must be {_KINDS.get(kind.split('_')[0], found['msg'])}"
    return OptionError(owner, str(found["loc"][0]), f"is {in_brief(repr(found['input']))}; {said}")


def choices(hint: object) -> tuple[str, ...]:
    """The values of a Literal, also of an optional one."""
    return (
        get_args(hint)
        if get_origin(hint) is Literal
        else tuple(value for part in get_args(hint) for value in choices(part))
    )


def suggestion(value: object, known: Iterable[str]) -> str:
    """The end of an error about an unknown value: "did you mean X? known: ..."."""
    names = list(known)
    near = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    return (f"did you mean {near[0]!r}? " if near else "") + f"known: {', '.join(name for name in names if name)}"


def changed(of: C, changes: Mapping[str, object]) -> C:
    """The options with some changed; validated again."""
    return dataclasses.replace(of, **changes)  # type: ignore[type-var]


def is_runtime(of: object, name: str) -> bool:
    """Returns True if an option changes only how fast a result is computed."""
    known = getattr(type(of), "__pydantic_fields__", {})
    return name in known and RUNTIME in known[name].metadata


def fields_of(of: object) -> tuple[dataclasses.Field[object], ...]:
    """The fields of options, of an instance or its class."""
    return dataclasses.fields(of)  # type: ignore[arg-type]


def plain(of: object, runtime: bool = False) -> dict[str, object]:
    """The options as JSON values; nested options include the name of their class. Options that change only the speed are left out
    unless ``runtime``."""
    found: dict[str, object] = {}
    for f in fields_of(of):
        value = getattr(of, f.name)
        if runtime or not is_runtime(of, f.name):
            found[f.name] = nested(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
    return found


def nested(of: object) -> dict[str, object]:
    """Options as JSON values with the name of their class; the class's own ``asked`` makes them if it has one."""
    own: Callable[[], dict[str, object]] | None = getattr(of, "asked", None)
    return own() if own is not None else {"class": type(of).__name__, **plain(of)}


def from_plain(told: Mapping[str, object], known: Mapping[str, type[Any]]) -> Any:
    """The options from the JSON values that ``nested`` returned; ``known`` are the possible classes by name.

    Raises:
        ValueError: a class that is not known, or options that it does not have (written by another version).
    """
    name = str(told.get("class"))
    if name not in known:
        raise ValueError(f"{name!r} is no class of this version; {suggestion(name, known)}")
    values = {
        key: from_plain(value, known) if isinstance(value, Mapping) and "class" in value else value
        for key, value in told.items()
        if key != "class"
    }
    return known[name](**values)
