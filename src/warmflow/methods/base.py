"""What a method is: options, and what it trains for one training seed of a problem.

    of(setup)        the method as it is run on this problem: options that are None take the problem's values
    companions       further methods that a fair comparison of this one needs: baselines of the same effort, a control
    stages(parts)    what is trained, in order; empty for a method that samples another one's network
    sampler(parts)   the sampler with the trained networks

``Parts`` hold what the methods of one training seed share: drafts, pairs, trained parts, each made once and kept in the seed's
folder. A method is one file and is found by its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from torch import nn

from warmflow.contracts import Data, Objective, Solver, Source
from warmflow.evaluation.study import Role, Training
from warmflow.methods.parts import Parts
from warmflow.options import OptionError, changed, fields_of, plain
from warmflow.sampler import Sampler
from warmflow.setup import Setup

if TYPE_CHECKING:
    from warmflow.methods.pairing import Pairing

M = TypeVar("M", bound="Method")
Networks = Mapping[str, nn.Module]
"""The networks that were trained so far, by stage."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One training: ``make`` builds the objective and its data from the networks of the stages before.

    Args:
        name: the name of the trained network, and of the stage's folder unless the stage is the last.
        updates, batch: None takes the values of ``Training``.
        keep_last: if training diverges, save the sampler of the last checkpoint as the run's model.
    """

    name: str
    make: Callable[[Networks], tuple[Objective, Data]]
    updates: int | None = None
    batch: int | None = None
    warmup: int | None = None
    save_every: int = 500
    keep_last: bool = False


@dataclass(frozen=True, eq=False)
class Start:
    """What a flow starts from.

    Args:
        title: what sentences and figures call it.
        draft: whether noise is added to it before the flow starts.
    """

    source: Source
    title: str
    draft: bool = False


@dataclass(frozen=True, eq=False)
class Drafted:
    """A draft and how it is paired with the data; ``pairs`` is what the flow is trained on."""

    draft: Source
    pairing: Pairing
    pairs: Data


@dataclass(frozen=True)
class Member:
    """A method in a comparison, with its name and its role; ``of`` is the candidate that it belongs to, if any."""

    name: str
    method: Method
    role: Role
    of: str = ""


class Method(ABC):
    """A way to generate samples, as its options."""

    name: ClassVar[str]
    role: ClassVar[Role] = Role.CANDIDATE
    trained: ClassVar[Training] = Training.EQUAL
    """What is equal between this method and the baselines, for example the training."""
    fine_tunes: ClassVar[bool] = False
    """Whether the training may begin with the weights of a cold run."""
    has_draft: ClassVar[bool] = False
    """Whether the method has the option ``draft``."""
    trains: ClassVar[bool] = True
    """Whether the method trains anything; a method that does not has no run folder."""

    @abstractmethod
    def fits(self, setup: Setup) -> str:
        """An empty string if the method can be used on this problem, else one sentence that says why not."""

    @property
    @abstractmethod
    def title(self) -> str:
        """The name of the method in sentences and figures."""

    @property
    def counted(self) -> tuple[str, ...]:
        """The parts that its cost includes beside its flow: "draft", "pairing", "prior". Pairing while training is part of the
        training."""
        return ()

    @property
    def label(self) -> str:
        """The name of the method in a comparison, unless another method has the same."""
        return self.name

    @property
    def own_pairing(self) -> Pairing | None:
        """The options of the method's pairing; None if it pairs nothing."""
        return None

    def needs(self) -> Method | None:
        """The method whose trained flow this one needs (the teacher of a student), or None."""
        return None

    def for_trial(self, setup: Setup) -> Method:
        """A copy of the method whose drafts, pairs and other parts take no time to make, for estimates of the training time."""
        return self

    def companions(self, setup: Setup) -> Sequence[tuple[Method, Role]]:
        """Further methods that a fair comparison of this one needs."""
        return ()

    @abstractmethod
    def stages(self, parts: Parts) -> Sequence[Stage]:
        """The trainings of this method, in order; empty for a method that trains nothing."""

    @abstractmethod
    def sampler(self, parts: Parts, networks: Networks) -> Sampler:
        """The sampler with the trained networks of its stages."""

    def starts_from(self, setup: Setup, sampler: Sampler) -> Start | None:
        """The draft or prior that the trained flow starts from, which is measured alone; None if the flow starts from noise."""
        return None

    def brings(self, setup: Setup) -> tuple[str, ...]:
        """The parts that the user provides ("draft"), which are not made anew for each training seed."""
        return ()

    def files(self, setup: Setup) -> Mapping[str, str]:
        """Digests of the files that the user provides, by part ("draft"). A run is not continued with other files."""
        return {}

    def drafted(self, parts: Parts) -> Drafted | None:
        """The draft and its pairing, for the audit of the pairing; None if there is nothing to audit."""
        return None

    def facts(self, parts: Parts) -> Mapping[str, object]:
        """Measurements of the method's parts for the report; a "warning" among them is printed."""
        return {}

    def checked(self, parts: Parts, sampler: Sampler) -> Mapping[str, object]:
        """Measurements of the trained sampler, stored with its run; a "warning" among them is printed."""
        return {}

    def solvers(self) -> Sequence[Solver] | None:
        """The solvers that are tried on validation data; None for the default ones."""
        return None

    def grid(self) -> Sequence[int] | None:
        """The numbers of calls at which the method is measured; None for those of the comparison."""
        return None

    def asked(self) -> dict[str, object]:
        """The method's options as JSON values, which identify its runs."""
        return {"class": type(self).__name__, **plain(self)}


def filled(method: M, setup: Setup) -> M:
    """The method with the problem's values for options that were left open."""
    open_ = {
        f.name: setup.defaults[f.name]
        for f in fields_of(method)
        if getattr(method, f.name) is None and f.name in setup.defaults
    }
    return changed(method, open_) if open_ else method


def settled(method: M, setup: Setup) -> M:
    """The method with the problem's values for options that were left open.

    Raises:
        ValueError: it does not fit the problem.
    """
    found = filled(method, setup)
    why = found.fits(setup)
    if why:
        raise OptionError(type(found).__name__, "", why)
    return found
