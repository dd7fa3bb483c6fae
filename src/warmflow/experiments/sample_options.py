"""Options of sampling from a finished run: how tokens are drawn, tokens that are given, a label, guidance."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from warmflow.data import Codec
from warmflow.data.labels import are_numbers, listed, numbered
from warmflow.fields import Guided, Tempered, as_guided
from warmflow.options import NotNegative, OptionError, Positive, Share, fields_of, options
from warmflow.printing import in_one_line
from warmflow.sampler import Sampler
from warmflow.setup import interval_of
from warmflow.solvers import Jump
from warmflow.sources import Filled, together

FREE = "_"
"""The symbol of a template that stands for a free position."""


@options
class TokenOptions:
    """How a flow of tokens is sampled."""

    temperature: Positive = 1.0
    """Temperature of the token probabilities; below 1 they are sharper."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: keep the most probable tokens that together have this probability."""
    renoise: Share = 0.0
    """Strength of the corrector, which draws some tokens again in every step; 0 is off."""
    prefix: str = ""
    """Text that every sample begins with; it is normalised as the training text was."""
    template: str = ""
    """Text of up to the window's length, with an underscore at each position that is to be sampled; what follows it is too."""
    free: Annotated[str, Field(min_length=1, max_length=1)] = FREE
    """Symbol of a template for a free position, where the text itself has underscores."""

    def refuse(self, run: Path) -> None:
        """Raises an OptionError if any option is set: the run is not a flow of tokens."""
        for f in fields_of(self):
            value = getattr(self, f.name)
            if value != f.default:
                raise OptionError(
                    "TokenOptions", f.name, f"is {value!r}, which is for flows of tokens; {run} is not one"
                )

    def applied(self, sampler: Sampler, codec: Codec | None) -> Sampler:
        """The sampler with these options.

        Raises:
            OptionError: text that does not fit the run.
        """
        found = replace(sampler, solver=Jump(self.renoise))
        if self.temperature != 1 or self.top_p != 1:
            found = replace(found, field=Tempered(found.field, self.temperature, self.top_p))
        (length,) = sampler.shape
        patterns = [
            _pattern(name, text, codec, length, "" if name == "prefix" else self.free)
            for name in ("prefix", "template")
            if (text := getattr(self, name))
        ]
        return replace(found, source=Filled(found.source, together(*patterns))) if patterns else found

    def notes(self, codec: Codec | None) -> list[str]:
        """How the texts that are given are understood, a line each."""
        alphabet, found = None if codec is None else codec.alphabet, []
        if alphabet is None:
            return []
        for name, free in (("prefix", ""), ("template", self.free)):
            text = getattr(self, name)
            read = alphabet.brought(text, free)
            if read != text:
                found.append(f"{name} is read as {read!r}, in the symbols of the training text")
        if self.free == FREE and FREE in alphabet.symbols and FREE in self.template:
            found.append("underscores of the template are free positions; --free names another symbol for these")
        return found


@options
class LabelOptions:
    """How a flow that is given labels is sampled."""

    label: int | str | None = None
    """The class of all samples, by its name or number; by default labels are drawn as often as in the training data."""
    guidance: NotNegative | None = None
    """Classifier-free guidance scale; by default the run's own, 1 disables it."""
    guidance_interval: str = ""
    """LOW,HIGH: times t between which guidance is on; everywhere by default."""

    def applied(
        self, sampler: Sampler, run: Path, n: int, classes: Sequence[str] = ()
    ) -> tuple[Sampler, dict[str, Tensor] | None]:
        """The sampler with these options, and the condition of n samples (None to draw it).

        Args:
            classes: the names of the labels; empty if they have none.

        Raises:
            OptionError: the run has no labels or not this one, or an interval is given for guidance that is off (scale 1).
        """
        asked = [f.name for f in fields_of(self) if getattr(self, f.name) != f.default]
        if not asked:
            return sampler, None
        guided, shares = as_guided(sampler.field), sampler.source.label_shares
        inner = guided.field
        if shares is None or "label" not in (inner.sees or ()):
            value = getattr(self, asked[0])
            raise OptionError("LabelOptions", asked[0],
                              f"is {value!r}, but the flow of {run} is given no labels: train it with conditional")  # fmt: skip
        scale = guided.scale if self.guidance is None else self.guidance
        interval = interval_of(self.guidance_interval)
        if interval is not None and scale == 1:
            raise OptionError("LabelOptions", "guidance_interval",
                              f"is {self.guidance_interval!r}, but guidance is 1, which is off: set guidance too")  # fmt: skip
        if self.guidance is not None or interval is not None:
            sampler = replace(sampler, field=inner if scale == 1 else Guided(inner, scale, ("label",), interval))
        if self.label is None:
            return sampler, None
        return sampler, {"label": torch.full((n,), label_of(self.label, classes, len(shares), run))}


def label_of(asked: int | str, classes: Sequence[str], count: int, run: Path) -> int:
    """The label 0 .. count - 1 of a class that is asked for by its name or number.

    A name comes first: with the classes 1, 2 and 3 the label 1 is the class of this name. If all names are numbers, no other
    numbers are taken.

    Raises:
        OptionError: no such name, no such number.
    """
    text, last = str(asked), count - 1
    for form in (str, _composed, in_one_line):  # as it is, in another Unicode form, as it is shown
        if form(text) in (forms := [form(name) for name in classes]):
            return forms.index(form(text))
    figures, all_figures = re.fullmatch("-?[0-9]+", text), bool(classes) and all(map(str.isdecimal, classes))
    if figures and not all_figures and 0 <= int(text) <= last:
        return int(text)
    if not classes:
        said = "" if figures else " (it holds no names of classes)"
        raise OptionError("LabelOptions", "label",
                          f"is {text if figures else repr(text)}; the labels of {run} are 0 .. {last}{said}")  # fmt: skip
    if figures:
        plain = are_numbers(classes)
        known = f"0 .. {last}" if plain else listed(classes) if all_figures else f"0 .. {last}: {numbered(classes)}"
        raise OptionError("LabelOptions", "label", f"is {text}; the labels of {run} are {known}")
    near = difflib.get_close_matches(text, classes, n=1, cutoff=0.5)
    guess = f"did you mean {in_one_line(near[0])!r}? " if near else ""
    raise OptionError("LabelOptions", "label", f"is {text!r}; {guess}known: {listed(classes)}")


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _pattern(name: str, text: str, codec: Codec | None, length: int, free: str) -> Tensor:
    """The tokens of a prefix or a template, (length,) int64; -1 at positions that are free: those of the symbol ``free``, and
    those after the text."""
    alphabet = None if codec is None else codec.alphabet
    if alphabet is None:
        raise OptionError("TokenOptions", name, f"is {text!r}, but this run makes no texts")
    read = alphabet.brought(text, free)
    if len(read) > length:
        raise OptionError("TokenOptions", name,
                          f"has {len(read)} symbols, but samples of this run have {length}: make it fit")  # fmt: skip
    out = torch.full((length,), -1, dtype=torch.int64)
    kept = torch.tensor([symbol != free for symbol in read], dtype=torch.bool)
    out[: len(read)][kept] = alphabet.encode("".join(symbol for symbol in read if symbol != free))
    return out
