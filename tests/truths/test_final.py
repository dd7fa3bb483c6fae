"""The final table: its numbers are the metrics', its rows are of equal N; real features are computed once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor

from warmflow.feature_cache import data_digest, kept_features
from warmflow.image_table import final_table, markdown
from warmflow.metrics.extractors import NamedExtractor
from warmflow.metrics.frechet import Frechet
from warmflow.metrics.kid import KID
from warmflow.metrics.neighbours import Balls, neighbours


@dataclass(frozen=True)
class Halves(NamedExtractor):
    """Means of the halves of each sample, and a list of how many rows were asked for."""

    label: str = "halves at 4 px"
    weights: str = "00"
    asked: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.label

    @property
    def digest(self) -> str:
        return self.weights

    def features(self, x: Tensor) -> Tensor:
        self.asked.append(len(x))
        return x.double().reshape(len(x), 2, -1).mean(2)


def images(seed: int, n: int = 60) -> Tensor:
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1


REAL = images(0)


def test_rows_are_the_metrics_own_numbers_in_the_order_of_the_arms() -> None:
    arms = {"warm": images(1), "cold": images(2) * 0.5, "held out": images(3)}
    extractor = Halves()
    rows = final_table(REAL, arms, extractor, size=15, seed=4)
    assert [r.arm for r in rows] == list(arms) and {r.n for r in rows} == {60}
    assert {r.extractor for r in rows} == {"halves at 4 px"}
    assert extractor.asked == [60] * 4, "real features are computed once"
    real = Halves().features(REAL)
    for row in rows:
        found = Halves().features(arms[row.arm])
        assert row.frechet == Frechet().distance(found, real)
        assert row.kid == KID().estimate(found, real, size=15, seed=4)
        assert row.neighbours == neighbours(Balls.of(real), Balls.of(found))
    assert rows[1].neighbours.recall < rows[0].neighbours.recall  # the cold arm is half as wide


def test_real_images_as_an_arm_are_at_zero_and_one() -> None:
    (row,) = final_table(REAL, {"real": REAL}, Halves(), k=(2, 4))
    near = row.neighbours
    assert row.frechet == pytest.approx(0, abs=1e-12)
    assert (near.precision, near.recall, near.density, near.coverage) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ({}, "at least one method"),
        ({"warm": images(1), "few": images(2, 59)}, r"samples of 'few' are \(59, 1, 4, 4\).*give 60 samples"),
        ({"many": images(2, 61)}, "cut both to one number"),
        ({"flat": images(2).reshape(60, 16)}, r"of shape \(1, 4, 4\)"),
    ],
)
def test_unequal_sets_are_refused_before_anything_is_computed(arms: dict[str, Tensor], message: str) -> None:
    extractor = Halves()
    with pytest.raises(ValueError, match=message) as error:
        final_table(REAL, arms, extractor)
    assert extractor.asked == [] and "\n" not in str(error.value)


def test_markdown_holds_every_number_once_and_names_extractor_and_size() -> None:
    rows = final_table(REAL, {"warm | 4 calls": images(1), "cold": images(2)}, Halves())
    text = markdown(rows).splitlines()
    assert (
        "60 samples a row" in text[0]
        and "halves at 4 px" in text[0]
        and "95% interval from 10 disjoint subsets of 6" in text[0]
    )
    assert len(text) == 6 and len({line.replace("\\|", "").count("|") for line in text[2:]}) == 1
    cells = [c.strip() for c in text[5].split("|")]
    row = rows[1]
    assert cells[1] == "cold" and float(cells[2]) == pytest.approx(row.frechet, rel=6e-3)
    value, low, high = (float(v) for v in cells[3].replace("(", "").replace(")", "").replace("to", "").split())
    assert (value, low, high) == pytest.approx([1e3 * v for v in (row.kid.value, row.kid.low, row.kid.high)], rel=6e-3)
    assert [float(c) for c in cells[4:8]] == pytest.approx(list(vars(row.neighbours).values()), abs=5e-4)
    other = final_table(REAL, {"cold": images(2)}, Halves("halves at 8 px"))
    with pytest.raises(ValueError, match="a table of each"):
        markdown([*rows, *other])
    with pytest.raises(ValueError, match="a table of each"):
        markdown([])


# ---------------------------------------------------------------- kept features


def test_a_second_report_computes_no_real_features(tmp_path: Path) -> None:
    first, second = Halves(), Halves()
    rows = [final_table(REAL, {"cold": images(2)}, e, folder=tmp_path / "kept" / "here") for e in (first, second)]
    assert first.asked == [60, 60] and second.asked == [60]
    assert rows[0] == rows[1]
    assert torch.equal(kept_features(second, REAL, tmp_path / "kept" / "here"), Halves().features(REAL))


def test_other_data_another_name_and_other_weights_are_computed(tmp_path: Path) -> None:
    kept_features(Halves(), REAL, tmp_path)
    changed = REAL.clone()
    changed[7, 0, 3, 2] += 1e-6
    for extractor, x in ((Halves("halves at 8 px"), REAL), (Halves(weights="01"), REAL), (Halves(), changed)):
        kept_features(extractor, x, tmp_path)
        assert extractor.asked == [60]
    assert len(list(tmp_path.iterdir())) == 4


def test_the_digest_is_of_values_shape_and_type() -> None:
    x = torch.arange(12.0)
    others = (x, x.reshape(3, 4), x.reshape(4, 3), x.double(), x.flip(0), x.to(torch.bfloat16))
    assert len({data_digest(o) for o in others}) == len(others)
    assert data_digest(x.reshape(3, 4).T.contiguous().T) == data_digest(x.reshape(3, 4)), "values, not memory"


@pytest.mark.parametrize("damage", [b"", b"half", None])
def test_a_damaged_file_is_computed_and_mended(damage: bytes | None, tmp_path: Path) -> None:
    expected = kept_features(Halves(), REAL, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-8] if damage is None else damage)
    extractor = Halves()
    assert torch.equal(kept_features(extractor, REAL, tmp_path), expected) and extractor.asked == [60]
    extractor = Halves()
    assert torch.equal(kept_features(extractor, REAL, tmp_path), expected) and extractor.asked == []


def test_a_file_that_says_it_is_of_something_else_is_not_believed(tmp_path: Path) -> None:
    kept_features(Halves(), REAL, tmp_path)
    (path,) = tmp_path.iterdir()
    kept_features(Halves(), images(5), tmp_path)
    (other,) = (p for p in tmp_path.iterdir() if p != path)
    path.write_bytes(other.read_bytes())
    assert torch.equal(kept_features(Halves(), REAL, tmp_path), Halves().features(REAL))


def test_cut_off_before_the_rename_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            kept_features(Halves(), REAL, tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))
    extractor = Halves()
    kept_features(extractor, REAL, tmp_path)
    assert extractor.asked == [60] and len(list(tmp_path.glob("*.safetensors"))) == 1


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot write to"):
        kept_features(Halves(), REAL, tmp_path / "file")
