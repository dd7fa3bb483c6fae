"""What the flows of one training seed start from: a draft, a prior, pairs. They are made anew for each training seed, so that a
spread over seeds is the spread of the whole method, and are kept in the folder of the seed:

    FOLDER/draft.json, parts/draft/    the draft, fitted with the seed, and the run of one that is trained
    FOLDER/prior.json, parts/prior/    the learned prior, and the runs of its parts
    FOLDER/pairs/SOURCE-PAIRING/       the pairs of a source ("draft", "noise") by a pairing
    FOLDER/config.json                 the seconds that each took, and what was measured of the prior

What is finished is read, what is missing is made. The data and their split do not depend on the training seed. Drafts that the
user brings are taken as they are; only their pairs are made anew. Two processes may make different seeds at once, never one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warmflow.checkpoints import load_part, open_run, read_json, save_part, write_json
from warmflow.contracts import Batch, Source
from warmflow.recipes.plan import Plan, pairs

PRIOR_BILL = {"auxiliary model": "auxiliary_seconds", "latent sampler": "latent_seconds"}
"""What a prior's training is called in the bill, and in its facts."""
NOISE_BILL = "pairing of noise"
"""What pairing noise is called in the bill: it is spent on cold flows and controls."""


def trained_seconds(folder: Path) -> float:
    """What a draft's training took, over all its sittings and of a draft a class all; 0 where nothing was trained."""
    told = [read_json(path).get("training") or {} for path in sorted(folder.rglob("config.json"))]
    return float(sum(facts.get("seconds", 0.0) for facts in told))


def seed_folder(root: Path, seed: int) -> Path:
    """Where a comparison keeps what belongs to one training seed."""
    return root / "seeds" / str(seed)


@dataclass(eq=False)
class Prepared:
    """Drafts, priors and pairs by training seed, in the folder of a comparison.

    Args:
        own: the draft is the user's: it is not kept.

    The pairs that were asked for last are held in memory, and no others.
    """

    plan: Plan
    root: Path
    own: bool = False
    progress: bool = False
    _sources: dict[tuple[int, str], Source] = field(default_factory=dict)
    _pairs: dict[tuple[int, str, str], Batch] = field(default_factory=dict)

    def source(self, seed: int, name: str) -> Source:
        """The source "draft", "prior" or "noise" of a seed."""
        if (seed, name) not in self._sources:
            make = {"draft": self._draft, "prior": self._prior, "noise": lambda seed: self.plan.flow.noise(self.plan)}
            self._sources[seed, name] = make[name](seed)
        return self._sources[seed, name]

    def pairs(self, seed: int, name: str, pairing: str) -> Batch:
        """The pairs of a source by a pairing, in one seed."""
        key = (seed, name, pairing)
        if key not in self._pairs:
            source, folder = self.source(seed, name), seed_folder(self.root, seed)
            self._pairs.clear()
            began = time.perf_counter()
            found = pairs(self.plan, source, folder / "pairs" / f"{name}-{pairing}", seed=seed, pairing=pairing)
            self._note(seed, "pairing" if name == "draft" else NOISE_BILL, time.perf_counter() - began)
            self._pairs[key] = found
        return self._pairs[key]

    def of(self, seed: int, arm: str) -> tuple[Source | None, Batch | None]:
        """The source and the pairs that a flow is trained from, as ``Flow.arm`` takes them."""
        arm = arm.removesuffix("_doubled")
        needs, paired = self.plan.flow.needs(arm), self.plan.flow.paired(self.plan, arm)
        return (self.source(seed, needs) if needs else None), None if paired is None else self.pairs(seed, *paired)

    def make(self, seed: int, arms: Sequence[str]) -> None:
        """Makes all that these flows need, and the draft."""
        self.source(seed, "draft")
        for arm in arms:
            self.of(seed, arm)

    def seconds(self, seed: int) -> dict[str, float]:
        """What was spent on a seed, by its name in the bill."""
        return dict(self._noted(seed).get("seconds", {}))

    def bill(self, seeds: Sequence[int]) -> dict[str, float]:
        """The mean seconds of a seed."""
        each = [self.seconds(seed) for seed in seeds]
        return {name: sum(one.get(name, 0.0) for one in each) / len(each) for name in each[0]}

    def about(self, seed: int) -> dict[str, Any]:
        """What was measured of a seed's prior; empty where there is none."""
        return dict(self._noted(seed).get("prior", {}))

    def _draft(self, seed: int) -> Source:
        folder, began = seed_folder(self.root, seed), time.perf_counter()
        if not self.own and (folder / "draft.json").exists():
            return load_part(folder, "draft")  # type: ignore[no-any-return]
        draft = self.plan.draft(folder / "parts" / "draft", self.progress, seed)
        self._note(seed, "draft", max(time.perf_counter() - began, trained_seconds(folder / "parts" / "draft")))
        if not self.own:
            save_part(folder, "draft", draft)
        return draft

    def _prior(self, seed: int) -> Source:
        folder = seed_folder(self.root, seed)
        if (folder / "prior.json").exists():
            return load_part(folder, "prior")  # type: ignore[no-any-return]
        assert self.plan.prior is not None
        prior, about = self.plan.prior(folder / "parts" / "prior", self.progress, seed)
        for name, key in PRIOR_BILL.items():
            self._note(seed, name, float(about.pop(key)))
        self._write(seed, {"prior": about})
        save_part(folder, "prior", prior)
        return prior

    def _noted(self, seed: int) -> dict[str, Any]:
        return open_run(seed_folder(self.root, seed), {"kind": "prepared", "seed": seed})

    def _note(self, seed: int, name: str, seconds: float) -> None:
        """Notes what something took when it was made; reading it again later takes less and changes nothing."""
        known = self.seconds(seed)
        if name not in known:
            self._write(seed, {"seconds": {**known, name: seconds}})

    def _write(self, seed: int, facts: Mapping[str, Any]) -> None:
        write_json(seed_folder(self.root, seed) / "config.json", {**self._noted(seed), **facts})
