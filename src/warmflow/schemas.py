"""Schemas: JSON that comes from a folder has the declared types, or one line names the file, the place in it and what is wrong.

A schema is a pydantic ``TypeAdapter`` of a dataclass or a typed dictionary. Arguments of a class that a file names are checked
by the annotations of its constructor.
"""

from __future__ import annotations

import inspect
import math
import reprlib
from contextlib import suppress
from dataclasses import is_dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, TypeVar, get_type_hints

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from warmflow.files import Damaged, read_json

T = TypeVar("T")
OBJECT = TypeAdapter(dict[str, object])
"""Any JSON object."""
MOST = 2**53
"""Beyond it whole numbers are not exact as floats; no count of ours comes near it."""
Whole = Annotated[int, Field(ge=0, le=MOST)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Finite = Annotated[float, Field(ge=-1e100, le=1e100, allow_inf_nan=False)]
"""A number whose square is finite too."""
Undefined = Annotated[
    float, BeforeValidator(lambda value: math.nan if value is None else value), Field(ge=-1e100, le=1e100)
]
"""A number, or NaN where the file has null."""
Seconds = Annotated[float, Field(ge=0, le=1e100, allow_inf_nan=False)]


def checked(schema: TypeAdapter[T], value: object, where: object) -> T:
    """The value as the schema has it.

    Raises:
        ValueError: one line with ``where`` it comes from, the place in it, the value there and what is expected.
    """
    try:
        return schema.validate_python(value)
    except ValidationError as error:
        said = fault(error)
    except RecursionError:
        said = "it is nested too deeply"
    raise Damaged(f"{where} is not as warmflow writes it: {said}; run the same command again or give another folder")


def read_as(schema: TypeAdapter[T], path: Path) -> T:
    """The content of a JSON file as the schema has it; a one-line ValueError if it is missing, damaged or of other types."""
    return checked(schema, read_json(path), path)


def fault(error: ValidationError) -> str:
    """The first fault of a value in one line: its place, what stands there and what is expected."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part)[:60] for part in first["loc"]) or "it"
    if first["type"] == "missing":
        return f"{place!r} is missing"
    said = _expected(error)
    if first["type"] == "value_error":
        return f"{place}: {said}" if first["loc"] else said
    return f"{place!r} is {shown(first['input'])}; {said}"


def _expected(error: ValidationError) -> str:
    """What is expected of the first value that is wrong."""
    said = " ".join(
        error.errors(include_url=False, include_context=False)[0]["msg"].removeprefix("Value error, ").split()
    )
    return said.replace("Input should be", "it should be")[:400]


def shown(value: object) -> str:
    """A short repr of any JSON value."""
    try:
        return reprlib.repr(value)[:80]
    except (RecursionError, ValueError):  # deeply nested; an integer of more digits than Python writes
        return f"a {type(value).__name__}"


# ---------------------------------------------------------------- arguments of constructors


def check_arguments(kind: type, given: object) -> None:
    """Raises TypeError, in one line, unless a constructor takes these arguments by its annotations."""
    try:
        arguments = OBJECT.validate_python(given)
    except ValidationError:
        raise TypeError(f"the arguments of {kind.__name__} are {shown(given)}") from None
    try:
        inspect.signature(kind).bind(**arguments)
    except TypeError as error:
        raise TypeError(f"{kind.__name__}: {error}") from None
    for name, schema in _hinted(kind).items():
        try:
            if name in arguments:
                schema.validate_python(arguments[name], strict=True)
        except ValidationError as error:
            raise TypeError(f"{name} of {kind.__name__} is {shown(arguments[name])}; {_expected(error)}") from None
        except RecursionError:
            raise TypeError(f"{name} of {kind.__name__} is nested too deeply") from None


@cache
def _hinted(kind: type) -> dict[str, TypeAdapter[object]]:
    """The schemas of a constructor's arguments whose annotations can be read."""
    found = {}
    with suppress(NameError, TypeError):  # annotations of a user's own class that are not there at run time
        hints = get_type_hints(kind if is_dataclass(kind) else getattr(kind, "__init__"))  # noqa: B009
        for name in inspect.signature(kind).parameters.keys() & hints.keys():
            hint = hints[name]
            if inspect.isclass(hint) and is_dataclass(hint):  # an instance of one is needed, not its fields
                hint = Annotated[object, AfterValidator(partial(_instance, hint))]
            with suppress(PydanticUserError, SchemaError):  # protocols
                found[name] = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    return found


def _instance(kind: type[object], value: object) -> object:
    if not isinstance(value, kind):
        raise ValueError(f"it should be an instance of {kind.__name__}")
    return value
