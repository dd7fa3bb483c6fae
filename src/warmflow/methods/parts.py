"""What the methods of one training seed share: drafts, pairs and trained parts, made once and kept in the seed's folder.

    FOLDER/drafts/NAME-DIGEST/    a draft (in source/) and the run of one that is trained
    FOLDER/pairs/NAME-DIGEST/     the pairs of a source by a pairing
    FOLDER/parts/NAME-DIGEST/     what else a method trains before its flow
    FOLDER/seconds.json           what each took, by its folder

``used`` holds the parts that a method asked for and their seconds: a part that two methods share is in the cost of both.

Finished parts are read, missing ones are made. Everything but the data depends on the training seed, so that a spread over
seeds is the spread of the whole method. Two processes may make different seeds at once, never one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from pydantic import TypeAdapter
from torch import nn

from warmflow.checkpoints import again, fitting, open_run, save_part
from warmflow.contracts import Batch, Coupling, Source
from warmflow.couplings import prepare
from warmflow.drafts.base import Draft, Place, fitted
from warmflow.estimates import clock
from warmflow.failures import explained
from warmflow.files import Damaged, make_folder, write_json
from warmflow.noise import Noise
from warmflow.printing import bar, in_one_line, say
from warmflow.run_config import read_config, seconds_of
from warmflow.sampler import Sampler
from warmflow.schemas import Seconds, read_as
from warmflow.setup import Setup

if TYPE_CHECKING:
    from warmflow.methods.base import Method


_SECONDS = TypeAdapter(dict[str, Seconds])


def digest(asked: Mapping[str, object]) -> str:
    """Twelve hexadecimal digits of JSON values."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:12]


@dataclass(eq=False)
class Parts:
    """The parts of one training seed.

    Args:
        folder: of the seed; None keeps nothing (a trial).
        begin: a trained cold network that a warm flow is fine-tuned from, see ``train --from``.
        run: gives the trained sampler of another method of this seed.
    """

    setup: Setup
    seed: int
    folder: Path | None = None
    progress: bool = False
    begin: nn.Module | None = None
    run: Callable[[Method], Sampler] | None = None
    used: dict[str, float] = field(default_factory=dict)
    _sources: dict[str, Source] = field(default_factory=dict)
    _pairs: dict[str, Batch] = field(default_factory=dict)

    def place(self, kind: str, name: str, asked: Mapping[str, object]) -> Place:
        """Where a part is made."""
        folder = None if self.folder is None else self.folder / kind / f"{name}-{digest(asked)}"
        return Place(folder, self.seed, self.progress)

    def draft(self, draft: Draft) -> Source:
        """The draft of this seed."""
        asked = draft.asked()
        place = self.place("drafts", draft.name, asked)
        key = digest(asked)
        found = self.source(
            key, lambda: self.kept(place, key, lambda: fitted(draft, self.setup, place), not draft.given)
        )
        self.uses("draft", key)
        return found

    def source(self, key: str, make: Callable[[], Source]) -> Source:
        """A source that stays in memory under a key."""
        if key not in self._sources:
            self._sources[key] = make()
        return self._sources[key]

    def kept(self, place: Place, key: str, make: Callable[[], Source], keep: bool = True) -> Source:
        """A source that is read from its folder, or made and kept there, with its seconds."""
        kept = None if place.folder is None or not keep else place.folder / "source"
        if kept is not None and (kept / "source.json").exists():
            found = again(kept, "source")
            if found is not None and self._draws(kept, found):
                return cast(Source, found)
        began = clock()
        source = make()
        self.note(key, max(clock() - began, trained_seconds(place.folder)))
        if kept is not None:
            config = open_run(kept, {"kind": "source", "seed": self.seed})
            save_part(kept, "source", source)
            write_json(kept / "config.json", {**config, "state": "complete"})
        return source

    def _draws(self, folder: Path, source: Source) -> bool:
        """Whether a source that was read from its folder gives drafts of its shape. If not, prints that it is made again."""
        row = self.setup.data.train[torch.arange(1)]
        try:
            with fitting(folder, "source"):
                given = {k: v for k, v in row.condition.items() if k in source.takes}
                x0 = source.draw(1, given, noise=Noise.of(0, 1)).x0
                if x0.shape[1:] != source.shape:
                    raise TypeError(f"drafts of shape {tuple(x0.shape[1:])}")
            return True
        except (Damaged, ValueError) as error:
            say(f"warning: {in_one_line(str(error).partition(': delete')[0])}: it is made again")
            return False

    @explained("pairing", "block", "rounds")
    def pairs(
        self, name: str, source: Source, coupling: Coupling, *, rounds: int, block: int, passes: int = 0, bill: str = "pairing"
    ) -> Batch:  # fmt: skip
        """The training data paired offline with starts from a source. Only the last pairs that were asked for stay in memory."""
        asked = {"source": name, "coupling": repr(coupling), "rounds": rounds, "block": block, "passes": passes}
        key = digest(asked)
        if key not in self._pairs:
            self._pairs.clear()
            folder, began = self.place("pairs", name, asked).folder, clock()
            with self._shown(name) as tell:
                self._pairs[key] = prepare(
                    coupling, self.setup.data.train, source, folder, block=block, rounds=rounds, passes=passes,
                    seed=self.seed, progress=tell,
                )  # fmt: skip
            self.note(key, clock() - began)
        self.uses(bill, key)
        return self._pairs[key]

    @explained("pairing", "the number of pairs")
    def pairs_of(self, name: str, coupling: Coupling, data: Batch, source: Source) -> Batch:
        """Pairs of other data than the training set, once each."""
        asked = {"rows": len(data), "coupling": type(coupling).__name__}
        folder, began = self.place("pairs", name, asked).folder, clock()
        with self._shown(name) as tell:
            found = prepare(coupling, data, source, folder, block=1024, seed=self.seed, progress=tell)
        key = digest({"name": name, **asked})
        self.note(key, clock() - began)
        self.uses("pairing", key)
        return found

    @contextmanager
    def _shown(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """A progress bar for pairs, as ``prepare`` takes it."""
        with bar(what=f"pairs of {name}, seed {self.seed}", unit="block", shown=self.progress) as shown:

            def tell(done: int, total: int) -> None:
                shown.total = total
                shown.update(done - shown.n)

            yield tell

    def trained(self, method: Method) -> Sampler:
        """The trained flow of another method under this seed."""
        if self.run is None:
            raise ValueError("a method that starts from another one's flow needs a comparison that trains both")
        return self.run(method)

    def seconds(self) -> dict[str, float]:
        """The seconds spent on the parts of this seed, by part."""
        path = None if self.folder is None else self.folder / "seconds.json"
        return read_as(_SECONDS, path) if path is not None and path.exists() else dict(self._noted)

    _noted: dict[str, float] = field(default_factory=dict)

    def note(self, key: str, seconds: float) -> None:
        """Stores the seconds that making a part took. Reading the part again later does not change them."""
        known = self.seconds()
        if key in known:
            return
        self._noted = {**known, key: seconds}
        if self.folder is not None:
            write_json(make_folder(self.folder) / "seconds.json", self._noted)

    def uses(self, bill: str, key: str) -> None:
        """Puts a part into the bill of the method that is being made, under the name ``bill``."""
        seconds = self.seconds().get(key)
        if seconds is not None:
            self.used[bill] = seconds


def trained_seconds(folder: Path | None) -> float:
    """The training seconds of all parts in a folder, interrupted attempts included; 0 if nothing was trained there."""
    if folder is None:
        return 0.0
    return sum(seconds_of(read_config(path.parent)) for path in sorted(folder.rglob("config.json")))
