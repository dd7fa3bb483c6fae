"""The options of commands that train: those of the problem, of training, of the methods and of the drafts.

Which groups there are follows from the words: the problem's name, the methods that are asked for, their drafts and teachers.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from warmflow.command_line import Given, Group, Values, flag_of, positional, typed
from warmflow.drafts import DRAFTS, Draft, NoDraft, Own
from warmflow.methods import METHODS, Method
from warmflow.methods.own import OwnModel
from warmflow.methods.warm_start import WarmStart
from warmflow.options import applies, changed, fields_of, suggestion
from warmflow.problems import PROBLEMS, Problem
from warmflow.problems import class_of as class_of_problem
from warmflow.problems.own import Arrays
from warmflow.setup import Training

PROBLEM, TRAINING = "problem", "training"
VARIANTS: Mapping[str, tuple[str, Values]] = {
    "cold-minibatch": ("cold", {"pairing": "minibatch"}),
    "cold-whole-set": ("cold", {"pairing": "whole-set"}),
    "cold-mask": ("cold", {"start": "mask"}),
    "warm-start-from-noise": ("warm-start", {"draft": NoDraft()}),
}
"""Methods with a value fixed, which comparisons call by these names."""
NAMES = (*(name for name, kind in METHODS.items() if kind is not OwnModel), *VARIANTS)
"""The methods that a command can make; a model of the user's own is given in Python."""


# ---------------------------------------------------------------- problems


@dataclass(frozen=True)
class Named:
    """A problem as it was typed: its class, and the options that its name carries (the path in folder:PATH)."""

    word: str
    kind: type[Problem]
    carried: Values

    @classmethod
    def of(cls, word: str) -> Named:
        """The problem of a word.

        Raises:
            ValueError: no problem has this name.
        """
        kind, carried = class_of_problem(Path(word) if word not in PROBLEMS and Path(word).is_dir() else word)
        if kind is Arrays and not carried:
            raise ValueError(f"the problem {word} needs your data: give FILE.npy, FILE.npz or hf:NAME in its place")
        return cls(word, kind, carried)

    @property
    def group(self) -> Group:
        without = (*self.carried, *(("data",) if self.kind is Arrays else ()))
        return Group(PROBLEM, self.kind, "", f"Options of {self.word}", without=without)

    @property
    def training(self) -> Group:
        return Group(TRAINING, Training, "", "Options of training", defaults=self.kind.training)

    def problem(self, given: Given) -> Problem:
        """The problem with the options that were typed."""
        return self.kind(**self.carried, **given[PROBLEM])

    @property
    def place(self) -> str:
        """The problem's name as a part of a folder's name."""
        name = self.word.rstrip(os.sep).rpartition(os.sep)[2] if os.sep in self.word else self.word
        return name.replace(":", "-")


# ---------------------------------------------------------------- methods


def base_of(name: str) -> Method:
    """A method by its name, with its default options.

    Raises:
        ValueError: no method has this name.
    """
    if name not in NAMES:
        raise ValueError(f"method {name!r} is unknown; {suggestion(name, NAMES)}")
    kind, fixed = VARIANTS.get(name, (name, {}))
    return METHODS[kind](**fixed)


def with_teacher(method: Method, words: Sequence[str] = ()) -> Iterator[Method]:
    """The method, and the method whose flow it starts from, as it was typed."""
    yield method
    teacher = method.needs()
    if teacher is not None:
        word = typed(words, flag_of("teacher", method.name))
        yield from with_teacher(base_of(word) if word else teacher, words)


def class_of_draft(word: str) -> type[Draft] | None:
    """The class of the draft with this name, or of diffusers:PATH; None if the draft is the user's own."""
    kind = DRAFTS.get(word.partition(":")[0])
    return None if kind is Own else kind


@dataclass(frozen=True)
class Asked:
    """The problem and the methods that were typed, and the groups of options that follow from them.

    Args:
        flag: which names the methods: --methods or --method.
    """

    problem: Named
    methods: tuple[str, ...]
    words: Sequence[str]
    flag: str = "--methods"

    @classmethod
    def of(cls, word: str, words: Sequence[str], flag: str) -> Asked:
        """The problem and the methods that the command line names: the problem by ``word``, the methods by ``flag`` in ``words``.

        Raises:
            ValueError: no such problem, method, or teacher.
        """
        names = tuple(name.strip() for name in typed(words, flag, WarmStart.name).split(",") if name.strip())
        if not names:
            raise ValueError(f"{flag} is empty; {suggestion('', NAMES)}")
        return cls(Named.of(word), names, words, flag)

    def bases(self) -> dict[str, Method]:
        """The methods and their teachers with their default options, one for each class, by name."""
        found: dict[str, Method] = {}
        for method in (one for name in self.methods for one in with_teacher(base_of(name), self.words)):
            found.setdefault(method.name, method)
        return found

    def draft_word(self, method: str) -> str:
        """The draft of a method as it was typed, else the problem's default."""
        return typed(self.words, flag_of("draft", method), self.problem.kind.draft)

    def drafts(self) -> dict[str, type[Draft]]:
        """The classes of the requested drafts, by name."""
        words = [self.draft_word(name) for name, one in self.bases().items() if one.has_draft]
        kinds = [kind for kind in map(class_of_draft, words) if kind is not None]
        return {kind.name: kind for kind in kinds if fields_of(kind)}

    def groups(self) -> list[Group]:
        """The groups of options, in the order of the help."""
        methods = [method_group(method) for method in self.bases().values()]
        drafts = [draft_group(kind) for kind in self.drafts().values()]
        return [self.shown(group) for group in (self.problem.group, self.problem.training, *methods, *drafts)]

    @property
    def marks(self) -> frozenset[str]:
        """What options may apply to: the space, the network and the marks of the problem."""
        kind = self.problem.kind
        return kind.marks | {kind.space, typed(self.words, "--network", kind.network)}

    def shown(self, group: Group) -> Group:
        """The group, in the help without the options that do not apply; if typed, they are refused where they are checked."""
        hidden = tuple(name for name in group.names if not applies(group.kind, name, self.marks))
        return dataclasses.replace(group, hidden=hidden)

    def epilogue(self) -> str:
        """The end of the help: the options that it does not show, and the methods that were not asked for."""
        flags = [group.flag(name) for group in self.groups() for name in group.hidden]
        left = f"Not shown, because they do not apply to {self.problem.word}: {', '.join(flags)}.\n\n" if flags else ""
        return f"{left}{others(self.methods, self.flag)}"

    def make(self, given: Given) -> list[Method]:
        """The methods with the options that were typed.

        Raises:
            ValueError: impossible options.
        """
        return [self.method(base_of(name), given, name) for name in self.methods]

    def method(self, base: Method, given: Given, name: str = "") -> Method:
        """A method with the options that were typed for it, for its draft and for its teacher."""
        changes = dict(given.get(base.name, {}))
        fixed = VARIANTS[name][1] if name in VARIANTS else {}
        for option in fixed.keys() & changes.keys():
            raise ValueError(f"{flag_of(option, base.name)} is fixed by {name}: leave it out, or ask for {base.name}")
        teacher = base.needs()
        if teacher is not None:
            word = changes.get("teacher", "")
            changes["teacher"] = self.method(base_of(word) if word else teacher, given, word)
        if base.has_draft and "draft" not in fixed:
            draft = draft_from(self.draft_word(base.name), given)
            if draft is not None:
                changes["draft"] = draft
        return changed(base, changes)

    def training(self, given: Given) -> Training:
        """How flows are trained: what was typed, else what suits the problem."""
        return Training(**{**self.problem.kind.training, **given[TRAINING]})

    def unknown(self, flag: str) -> str:
        """The error for a flag of a method, draft or problem that was not requested; empty if nothing has such an option."""
        prefix = flag.removeprefix("--").partition(".")[0] if "." in flag else ""
        if prefix in METHODS and prefix not in self.bases():
            asked = f"which is not among {self.flag} {','.join(self.methods)}: add it"
            if self.flag == "--method":
                asked = f"and --method is {self.methods[0]}: ask for {prefix}"
            return f"{flag} is an option of {prefix}, {asked} or leave the option out"
        if prefix in DRAFTS and prefix not in self.drafts():
            return f"{flag} is an option of the draft {prefix}: ask for it (--warm-start.draft {prefix}) or leave the option out"
        return other_problem(flag, self.problem)


def draft_group(kind: type[Draft]) -> Group:
    """The options of a draft."""
    return Group(kind.name, kind, kind.name, f"Options of the draft {kind.name}")


def draft_from(word: str, given: Given) -> Draft | None:
    """The draft with the options that were typed for it; None if none were typed, because its name is then enough."""
    kind = class_of_draft(word)
    options = dict(given.get(kind.name, {})) if kind is not None else {}
    if kind is None or not options:
        return None
    path = word.partition(":")[2]
    return kind(**options, **({"path": path} if path else {}))


def method_group(method: Method) -> Group:
    """The options of a method."""
    defaults, teacher = {f.name: getattr(method, f.name) for f in fields_of(method)}, method.needs()
    if teacher is not None:
        defaults["teacher"] = teacher.label
    return Group(method.name, type(method), method.name, f"Options of {method.name}", defaults)


def other_problem(flag: str, problem: Named) -> str:
    """The error for an option of other problems; empty if no problem has it."""
    owners = [name for name, kind in PROBLEMS.items() if flag in Group("", kind, "", "").flags]
    if not owners:
        return ""
    known = " ".join(problem.group.flags)
    return f"{flag} is an option of {', '.join(owners)}, and not of {problem.word}: leave it out; known: {known}"


# ---------------------------------------------------------------- what was typed


@cache
def every() -> tuple[Group, ...]:
    """The options of everything, as flags."""
    kinds: list[tuple[type, str]] = [(Training, ""), *((kind, "") for kind in PROBLEMS.values())]
    kinds += [(kind, name) for name, kind in (*METHODS.items(), *DRAFTS.items())]
    return tuple(Group(prefix, kind, prefix, "") for kind, prefix in kinds)


def switches() -> list[str]:
    """The flags of options that take no value."""
    found = []
    for group in every():
        for f in dataclasses.fields(group.kind):
            if isinstance(f.default, bool):
                found += [group.flag(f.name), flag_of(f"no_{f.name}", group.prefix)]
    return found


def is_option(flag: str) -> bool:
    """Whether it is an option of any problem, method or draft, or of training."""
    return any(flag in group.flags for group in every())


def words_of(words: Sequence[str], own: Sequence[str]) -> list[str]:
    """The words that are neither flags nor values of flags; ``own`` are the command's own flags without a value."""
    return positional(words, [*switches(), *own])


def problems() -> str:
    """The problems, a line each."""
    found = [(name, first_line(kind)) for name, kind in PROBLEMS.items() if kind is not Arrays]
    found += [("folder:PATH", "The same as folder --path PATH."), ("FILE.npz, hf:NAME", first_line(Arrays))]
    return f"Problems:\n{lines(found)}"


def catalogue() -> str:
    """The problems and the methods, a line each."""
    methods = [(name, first_line(METHODS[name])) for name in NAMES if name in METHODS]
    methods += [(name, fixed_line(*variant)) for name, variant in VARIANTS.items()]
    return f"{problems()}\n\nMethods:\n{lines(methods)}"


def fixed_line(base: str, fixed: Values) -> str:
    """The line about a method with a value fixed."""
    option, value = next(iter(fixed.items()))
    return f"The same as {base} with {option} {value.name if isinstance(value, Draft) else value}."


def lines(found: Sequence[tuple[str, str]]) -> str:
    """Names and what is said about them, in two columns that fit the terminal."""
    width = max(60, shutil.get_terminal_size().columns)
    return "\n".join(
        textwrap.fill(line, width, initial_indent=f"  {name:23}", subsequent_indent=" " * 25) for name, line in found
    )


def no_problem(flag: str) -> str:
    """The error for an option of problems or methods if no problem was typed; empty for any other flag."""
    return (
        f"{flag} is an option of a problem or a method: name the problem first, like digits" if is_option(flag) else ""
    )


def first_line(kind: type) -> str:
    """The first line of a class's docstring."""
    return (kind.__doc__ or "").strip().partition("\n")[0]


def others(methods: Sequence[str], flag: str) -> str:
    """The line of the help that names the methods which were not asked for."""
    rest = ", ".join(name for name in NAMES if name not in methods)
    return f"Other methods: {rest}. Name them with {flag} to see their options here."
