"""The methods of a comparison, under names of their own, with the companions that a fair one needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from warmflow.evaluation.study import Role
from warmflow.evaluation.study import Training as Held
from warmflow.methods.base import Member, Method, settled
from warmflow.methods.pairing import OFFLINE
from warmflow.setup import Setup


def members_of(setup: Setup, methods: Sequence[Method]) -> list[Member]:
    """The methods that were asked for, each candidate with its baselines of the same effort and its control, and the methods
    that students start from. Where a baseline trains nothing (the user's own model) no other baseline is added.

    Raises:
        ValueError: a method that does not fit the problem, or no candidate.
    """
    found: list[Member] = []

    def add(method: Method, role: Role, of: str = "") -> str:
        same = next((m for m in found if m.method == method and (m.role, m.of) == (role, of)), None)
        if same is not None:
            return same.name
        base = f"{of}-from-noise" if role is Role.CONTROL else method.label
        taken = {m.name for m in found}
        name = next(n for n in (base, *(f"{base}-{i}" for i in range(2, 99))) if n not in taken)
        found.append(Member(name, method, role, of))
        return name

    asked = [settled(method, setup) for method in methods]
    asked += [settled(one, setup) for method in asked if (one := method.needs()) is not None]
    own = any(method.role is Role.BASELINE and not method.trains for method in asked)
    names = [add(method, method.role) for method in asked]
    paired = [(m, n) for m, n in zip(asked, names, strict=True) if m.role is Role.CANDIDATE]
    for method, name in sorted(paired, key=lambda one: one[0].own_pairing is None):
        labels = set() if method.own_pairing is not None else {m.method.label for m in found}
        for other, role in method.companions(setup):
            if role is Role.CONTROL:
                add(settled(other, setup), role, name)
            elif not own and other.label not in labels:  # a method without pairs takes the baselines that are there
                add(settled(other, setup), role)
    if not any(m.role is Role.CANDIDATE for m in found):
        raise ValueError(
            f"the methods are {', '.join(m.name for m in found)}; a comparison needs a candidate: add warm-start"
        )
    return found


def in_memory(setup: Setup, members: Sequence[Member]) -> Setup:
    """The problem, whose training data are only the rows in memory if a candidate pairs rows in memory: all methods are trained
    on the same rows."""
    data = setup.data
    paired = [m.method.own_pairing for m in candidates(members)]
    name = next((p.pairing for p in paired if p is not None and p.pairing in OFFLINE), None)
    if data.whole is None or name is None:
        return setup
    note = (
        f"all methods are trained on the {len(data.train)} samples that fit into memory, of {len(data.whole)}, because the "
        f"pairing {name} pairs rows in memory; minibatch and independent use all"
    )
    return replace(setup, data=replace(data, whole=None, notes={**data.notes, "unused": note}))


def named(members: Sequence[Member], asked: Sequence[Method]) -> tuple[str, ...]:
    """The names of the members that the user asked for; ``asked`` are settled methods."""
    return tuple(m.name for m in members if m.method in asked and m.role is m.method.role and not m.of)


def titles(members: Sequence[Member]) -> dict[str, str]:
    """What sentences call each member: its method's title, and where several share one, the options that they differ in; of
    the same control of two candidates, also whose it is."""
    found: dict[str, str] = {}
    for m in members:
        alike = [o.method.asked() for o in members if o.method.title == m.method.title]
        differing = {k: v for k, v in m.method.asked().items() if any(o.get(k) != v for o in alike)}
        found[m.name] = " ".join([m.method.title, f"({told(differing)})"] if differing else [m.method.title])
        if m.of and found[m.name] in [title for name, title in found.items() if name != m.name]:
            found[m.name] += f", beside {found[m.of]}"
    return found


def told(values: Mapping[str, object]) -> str:
    """Values of options as text; of a nested one the name of its class."""
    return ", ".join(f"{k} {v.get('class', '') if isinstance(v, Mapping) else v}" for k, v in values.items())


def candidates(members: Sequence[Member]) -> tuple[Member, ...]:
    """The candidates, the headline first."""
    return tuple(m for m in members if m.role is Role.CANDIDATE)


def conditions(members: Sequence[Member]) -> dict[str, tuple[Held, tuple[str, ...]]]:
    """By candidate, what is held equal between it and the baselines, and what its cost counts beside its flow. Of a baseline that
    was trained elsewhere, the training is not known."""
    own = any(m.role is Role.BASELINE and not m.method.trains for m in members)
    held = {Held.EQUAL: Held.UNKNOWN, Held.EQUAL_FLOWS: Held.UNKNOWN} if own else {}
    return {m.name: (held.get(m.method.trained, m.method.trained), m.method.counted) for m in candidates(members)}
