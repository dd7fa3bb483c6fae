"""What the end of a command needs is tried at its start, before anything is trained or measured."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import warmflow
from warmflow import report
from warmflow.experiments.sample import picture
from warmflow.files import check_place
from warmflow.report import pictures

TINY = {"updates": 5, "width": 8, "depth": 1, "progress": False}
RNG = np.random.default_rng(0)
NAMES = ("caf\udce9", "<img src=x>", "\x1b[31mred", "$\\frac$", "a\nb", "写真")
"""Names of classes and folders that an old disk or a stranger may hold; the first is no UTF-8."""


def page(shape, kind="points", **more):
    """The page of real data of this shape."""
    x = RNG.normal(size=(40, *shape)).astype("f4").clip(-1, 1)
    report.rehearse("out", {"kind": "compare", "recipe": "own", "data": {"kind": kind, **more}}, {"real": x})


@pytest.mark.parametrize("shape", [(1,), (2,), (3,), (30,)], ids=str)
def test_points_of_any_dimension_have_a_page(shape):
    page(shape)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 8, 8), (2, 5, 7), (6, 4, 4), (1, 1, 64), (3, 64, 1)], ids=str)
def test_images_of_any_shape_have_a_page(shape):
    page(shape, "images")


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_has_a_page(name, tmp_path):
    page((2,), name=name, classes=[name, "b"], notes={"unreadable_files": [{"file": name, "reason": "cut"}]})
    assert report.write(f"<p>{name}</p>", tmp_path).read_text(encoding="utf-8")


def test_one_coordinate_is_drawn_as_a_histogram():
    """All samples are counted in the bins of one window."""
    x = RNG.normal(size=(500, 1))
    figure, (axes,) = pictures.blank((2, 2))
    pictures._scatter(axes, x, "red", ((-9, 9), (-9, 9)))
    assert sum(bar.get_height() for bar in axes.patches) == 500 and not axes.collections
    assert axes.get_xlim() == (-9, 9)


def test_samples_of_one_coordinate_make_a_picture(tmp_path):
    picture(torch.randn(100, 1), tmp_path / "a.png")
    assert np.asarray(Image.open(tmp_path / "a.png")).std() > 1


@pytest.mark.long
def test_a_page_that_cannot_be_drawn_is_known_before_training(monkeypatch, tmp_path):
    def fails(*args):
        raise RuntimeError("no font\nmore")

    monkeypatch.setattr(pictures, "panel", fails)
    with pytest.raises(
        ValueError, match=r"arrays: the report cannot be drawn \(no font\): give data of another form"
    ) as found:
        warmflow.compare(RNG.normal(size=(300, 2)), out=tmp_path / "out", seeds=[0], calls=[1], samples=200, **TINY)
    assert "\n" not in str(found.value)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.long
def test_what_a_run_folder_cannot_hold_is_known_before_training(monkeypatch, tmp_path):
    def refuses(part):
        raise ValueError(f"{type(part).__name__} holds a list, which a run folder cannot hold")

    monkeypatch.setattr("warmflow.experiments.run.config", refuses)
    with pytest.raises(ValueError, match="Sampler holds a list, which a run folder cannot hold"):
        warmflow.compare(RNG.normal(size=(300, 2)), out=tmp_path / "out", seeds=[0], calls=[1], samples=200, **TINY)
    assert not list(tmp_path.rglob("model.*")) + list(tmp_path.rglob("checkpoint.*"))


def test_places_that_cannot_be_written(tmp_path):
    check_place(tmp_path / "a" / "b")
    check_place(tmp_path / "a.png")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"cannot write to .*: .*file is not a folder; choose another place"):
        check_place(tmp_path / "file" / "b")
    for place in ("/proc/samples.png", "/sys/out"):
        if not os.access(place.rpartition("/")[0], os.W_OK):
            with pytest.raises(ValueError, match="is read-only; choose another place"):
                check_place(tmp_path.__class__(place))


@pytest.mark.long
@pytest.mark.parametrize("shape", [(1,), (3,)], ids=str)
def test_a_comparison_of_points_of_other_dimensions_than_two_ends(shape, tmp_path):
    x = RNG.normal(size=(300, *shape))
    made = warmflow.compare(x, out=tmp_path / "out", seeds=[0], calls=[1, 2], samples=200, **TINY)
    assert made.verdict.answer and (tmp_path / "out" / "report.html").stat().st_size > 20_000


@pytest.mark.long
def test_a_run_in_another_locale_on_names_that_are_no_utf_8(tmp_path):
    """Two classes with names in Latin-1, a folder of another script, and a locale of ASCII: trained, sampled and reported."""
    folder = os.fsencode(tmp_path) + "/写真".encode()
    for i in range(220):
        place = folder + b"/" + (b"caf\xe9", b"th\xe9")[i % 2]
        os.makedirs(place, exist_ok=True)
        with open(place + b"/%d.png" % i, "wb") as file:
            Image.fromarray(RNG.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(file, "PNG")
    size = "--size 8 --network mlp --updates 5 --width 8 --depth 1"
    words = f"train folder:{os.fsdecode(folder)} --method cold --conditional {size}"
    plain = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    out = str(tmp_path / "run")
    for line in (
        f"{words} --quiet --out {out}",
        f"sample {out} -n 4 --out {tmp_path}/o.npz",
        f"report {out} --out {tmp_path}/o.html",
    ):
        done = subprocess.run(
            [sys.executable, "-m", "warmflow.cli", *line.split(" ")], env=plain, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-500:]
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "caf\\udce9" in card  # where ASCII is all there is, the folder's own name is shown in escapes too
    assert (tmp_path / "o.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert np.load(tmp_path / "o.npz")["classes"].tolist() == ["caf\udce9", "th\udce9"]
