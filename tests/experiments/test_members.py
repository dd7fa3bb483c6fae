"""The members of a comparison: which are added, what each is called, and which were asked for."""

from __future__ import annotations

from warmflow import Cold, WarmStart
from warmflow.drafts.mixture import Gaussian
from warmflow.evaluation.study import Role
from warmflow.experiments.members import members_of, named, titles
from warmflow.methods.base import settled
from warmflow.problems.toys import Moons

SETUP = Moons(train=200, heldout=200).setup(updates=1)


def test_methods_of_one_title_are_told_apart_by_the_options_they_differ_in() -> None:
    members = members_of(SETUP, [WarmStart(t0=0.5), WarmStart(t0=0.8), WarmStart(draft=Gaussian(), t0=0.8)])
    found = titles(members)
    assert len(set(found.values())) == len(members)
    warm = [found[m.name] for m in members if m.role is Role.CANDIDATE]
    assert warm == ["warm (draft jittered, t0 0.5)", "warm (draft jittered, t0 0.8)", "warm (draft Gaussian, t0 0.8)"]


def test_one_candidate_is_called_by_its_title_alone() -> None:
    members = members_of(SETUP, [WarmStart()])
    assert [titles(members)[m.name] for m in members if m.role is Role.CANDIDATE] == ["warm"]


def test_what_was_asked_for_is_told_from_what_was_added() -> None:
    methods = [Cold(), WarmStart(t0=0.5)]
    members = members_of(SETUP, methods)
    assert named(members, [settled(m, SETUP) for m in methods]) == ("cold", "warm-start")
    assert len(members) > 2 and {m.role for m in members} == {Role.BASELINE, Role.CANDIDATE, Role.CONTROL}


def test_a_pairing_is_counted_where_it_is_made_before_training() -> None:
    assert WarmStart(pairing="whole-set").counted == ("draft", "pairing")
    assert WarmStart(pairing="minibatch").counted == WarmStart(pairing="independent").counted == ("draft",)
