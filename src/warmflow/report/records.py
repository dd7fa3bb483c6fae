"""How JSON becomes records: what is missing, or of another type than its field, is the field's default."""

from __future__ import annotations

import math
from dataclasses import MISSING, Field
from typing import Annotated, ClassVar

from pydantic import (
    BeforeValidator,
    FiniteFloat,
    PlainValidator,
    Strict,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic import ValidatorFunctionWrapHandler as Handler

from warmflow.brief import Brief
from warmflow.report import words

NAN = math.nan


class Record(Brief):
    """A frozen dataclass that a ``TypeAdapter`` reads. A field without a default must be there and right."""

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]

    @field_validator("*", mode="wrap")
    @classmethod
    def _or_default(cls, value: object, read: Handler, info: ValidationInfo) -> object:
        try:
            return read(value)
        except ValidationError:
            known = cls.__dataclass_fields__[str(info.field_name)]
            if known.default_factory is not MISSING:
                return known.default_factory()
            if known.default is MISSING:
                raise
            return known.default


def number(value: object) -> float:
    """A finite number; all else is undefined."""
    found = words.real(value)
    return NAN if found is None else found


def mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


Finite = Annotated[FiniteFloat, Strict()]
Number = Annotated[float, PlainValidator(number)]
Real = Annotated[float | None, PlainValidator(words.real)]
Calls = Annotated[float, PlainValidator(lambda value: math.inf if value is None else number(value))]
"""Calls, or an n_eq: the file writes null for what is infinite."""
Options = Annotated[dict[str, object], PlainValidator(mapping)]
Texts = Annotated[tuple[str, ...], PlainValidator(texts)]
Name = Annotated[str, BeforeValidator(str)]
