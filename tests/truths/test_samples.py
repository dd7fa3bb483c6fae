"""Samples from files: what was written is what is read, number for number; what no comparison survives is an error by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from spots import blobs, to_bytes, write_images
from torch import Tensor

from warmflow.data import checks
from warmflow.data.images import from_uint8
from warmflow.data.sample_files import files_of
from warmflow.data.samples import Reading, Sets, read_all, read_samples
from warmflow.evaluation.evaluate import Extras, Ready, evaluate

N = 120


def saved(path: Path, x: Tensor) -> Path:
    np.save(path, x.numpy())
    return path


# ---------------------------------------------------------------- one set


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_a_folder_of_images_is_the_rounded_tensor(tmp_path: Path, suffix: str) -> None:
    x = blobs(12, 0)
    folder = tmp_path / "images"
    folder.mkdir()
    for i, image in enumerate(to_bytes(x)):
        Image.fromarray(image[0].numpy()).save(folder / f"{i}.{suffix}", lossless=True)
    (folder / "prompts.json").write_text("{}")
    expected = from_uint8(to_bytes(x))
    found = read_samples(folder, Reading(mode="L"))
    assert torch.equal(found, expected), "2.png comes before 10.png, and other files are passed over"


def test_images_that_are_not_square_keep_every_pixel(tmp_path: Path) -> None:
    x = torch.rand(3, 3, 5, 9, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(read_samples(write_images(x, tmp_path / "wide")), from_uint8(to_bytes(x)))


def test_class_folders_are_mixed_in_proportion(tmp_path: Path) -> None:
    for name, n in (("a", 40), ("b", 20), ("c", 20)):
        write_images(blobs(n, 0), tmp_path / name)
    files = files_of(tmp_path)
    for quarter in range(4):
        part = [name[0] for name in files[20 * quarter : 20 * (quarter + 1)]]
        assert [part.count(c) for c in "abc"] == [10, 5, 5], "the last quarter chooses, and must have every class"
    assert [n for n in files if n[0] == "a"] == [f"a/{i}.png" for i in range(40)]


def test_arrays_by_any_of_their_names(tmp_path: Path) -> None:
    x, other = blobs(5, 0), torch.arange(5.0)
    paths = []
    for key in ("x", "samples", "arr_0"):
        np.savez(tmp_path / f"{key}.npz", **{key: x.numpy(), "other": other.numpy()})
        save_file({key: x, "other": other}, tmp_path / f"{key}.safetensors")
        paths += [tmp_path / f"{key}.npz", tmp_path / f"{key}.safetensors"]
    np.savez(tmp_path / "alone.npz", anything=x.numpy())
    for path in [*paths, tmp_path / "alone.npz", saved(tmp_path / "a.npy", x)]:
        assert torch.equal(read_samples(path), x), path
    np.savez(tmp_path / "two.npz", one=x.numpy(), two=x.numpy())
    with pytest.raises(ValueError, match=r"two\.npz.*has the arrays one, two; name the data x"):
        read_samples(tmp_path / "two.npz")
    save_file({"one": x, "two": x.clone()}, tmp_path / "two.safetensors")
    with pytest.raises(ValueError, match=r"has the tensors one, two; name the samples x"):
        read_samples(tmp_path / "two.safetensors")


def test_channels_last_and_bytes_become_images(tmp_path: Path) -> None:
    x = to_bytes(torch.rand(4, 3, 8, 8) * 2 - 1)
    last = saved(tmp_path / "last.npy", x.permute(0, 2, 3, 1).contiguous())
    assert torch.equal(read_samples(last), x.float() / 127.5 - 1)


def test_a_range_maps_black_to_minus_one_and_white_to_one(tmp_path: Path) -> None:
    x = blobs(6, 0)
    path = saved(tmp_path / "unit.npy", (x + 1) / 2)
    found = read_samples(path, Reading({str(path): (0.0, 1.0)}))
    assert torch.allclose(found, x, atol=1e-6)
    big = saved(tmp_path / "big.npy", (x + 1) * 127.5)
    with pytest.raises(ValueError, match=r"outside -1 \.\. 1; give uint8 \(0\.\.255\), or --range .*big\.npy=LOW,HIGH"):
        read_samples(big)
    assert torch.allclose(read_samples(big, Reading({"": (0.0, 255.0)})), x, atol=1e-5)


def test_texts_share_one_alphabet(tmp_path: Path) -> None:
    def lines(name: str, symbols: str, seed: int) -> Path:
        g = np.random.default_rng(seed)
        rows = ["".join(g.choice(list(symbols), 8)) for _ in range(N)]
        (tmp_path / name).write_text("\n".join(rows) + "\n")
        return tmp_path / name

    real, a = lines("real.txt", "abcd", 0), lines("a.txt", "bcde", 1)
    sets = read_all(real, {"a": a})
    assert sets.alphabet is not None and sets.alphabet.symbols == tuple("abcde")
    assert sets.alphabet.decode(sets.methods["a"][3]) == a.read_text().split("\n")[3]
    assert sets.alphabet.decode(sets.real[5]) == real.read_text().split("\n")[5]
    (tmp_path / "short.txt").write_text("abcdabcd\n" * 3 + "abc\n")
    with pytest.raises(ValueError, match=r"line 3 has 8 symbols and line 4 3; cut or pad every line to one length"):
        read_samples(tmp_path / "short.txt")


# ---------------------------------------------------------------- sets beside each other


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, Path]:
    return {
        "real": saved(tmp_path / "real.npy", blobs(N, 1)),
        "train": saved(tmp_path / "train.npy", blobs(N, 2)),
        "a": saved(tmp_path / "a.npy", blobs(N, 3, 0.1)),
        "b": saved(tmp_path / "b.npy", blobs(N, 4, 0.2)),
    }


def read(sets: dict[str, Path], ranges: dict[str, tuple[float, float]] | None = None) -> Sets:
    methods = {"a": sets["a"], "b": sets["b"]}
    return read_all(sets["real"], methods, sets["train"], sets.get("validation"), Reading(ranges or {}))


def unit(x: Tensor) -> Tensor:
    return (x + 1) / 2


def with_nan(x: Tensor) -> Tensor:
    x = x.clone()
    x[[17, 30], 0, 2, 3] = torch.nan
    return x


def with_rows(x: Tensor) -> Tensor:
    return torch.cat([blobs(N, 1)[:20], x[20:]])


def with_bright_value(x: Tensor) -> Tensor:
    """Rows of the real data as a file of 8 bits has them, and one value that no image has."""
    x = from_uint8(to_bytes(with_rows(x)))
    x[-1, 0, 0, 0] = 2.5
    return x


Change = Callable[[Tensor], Tensor]
BAD: list[tuple[str, str, Change, str]] = [
    ("unit range", "b", unit, r"b\.npy has values from 0 to 1 and .*\.npy from -1 to 1: .*give --range .*b\.npy=0,1"),
    ("real in unit range", "real", unit, r"real\.npy has values from .* beside \[-1, 1\]; give --range .*real\.npy=0,1"),
    ("0 to 255", "b", lambda x: unit(x) * 255, r"b\.npy has values from 0 to 255, outside -1 \.\. 1; .*--range"),
    ("real beyond 1", "real", lambda x: x * 1.5, r"real\.npy has values from -1\.5 to .*, outside -1 \.\. 1; .*--range"),
    ("colour", "b", lambda x: x.expand(-1, 3, -1, -1), r"b\.npy is in colour and .*real\.npy is grey; .*--mode L"),
    ("size", "b", lambda x: x[..., :6], r"real\.npy is 8 x 8 pixels and .*b\.npy 6 x 8; resize all images to one size"),
    ("points", "b", lambda x: x.flatten(1), r"real\.npy holds images and .*b\.npy points; give samples of one kind"),
    ("unequal", "b", lambda x: x[:-3], r"a\.npy has 120 samples and .*b\.npy 117; give equally many"),
    ("few", "b", lambda x: x[:99], r"b\.npy has 99 rows; a verdict needs at least 100, better 2,000: draw more"),
    ("few real", "real", lambda x: x[:99], r"real\.npy has 99 rows; .*: hold out more real data"),
    ("NaN", "b", with_nan, r"b\.npy has NaN or infinite values in 2 of 120 samples \(the first is sample 17\); repair"),
    ("trained on", "train", with_rows, r"20 rows of .*train\.npy are rows of .*real\.npy too: hold out real data"),
    ("copied", "b", with_rows, r"20 rows of .*b\.npy are rows of .*real\.npy too: hold out real data"),
    ("copied in bytes", "b", lambda x: to_bytes(with_rows(x)), r"20 rows of .*b\.npy are rows of .*real\.npy too"),
    ("copied, one value bright", "b", with_bright_value, r"20 rows of .*b\.npy are rows of .*real\.npy too"),
    ("same", "b", lambda x: blobs(N, 3, 0.1), r"a\.npy and .*b\.npy hold the same samples; give each its own"),
    ("chosen on", "validation", lambda x: with_rows(blobs(N, 9)), r"20 rows of .*validation\.npy are rows of .*real\.npy"),
    ("integers", "b", lambda x: to_bytes(x).int(), r"b\.npy holds images of int32; give uint8 \(0\.\.255\), as by astype"),
]  # fmt: skip


@pytest.mark.parametrize(("which", "change", "says"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_sets_that_differ_are_an_error_of_one_line(
    sets: dict[str, Path], tmp_path: Path, which: str, change: Change, says: str
) -> None:
    read(sets)
    kept = torch.from_numpy(np.load(sets[which])) if which in sets else blobs(N, 9)
    sets[which] = saved(tmp_path / f"{which}.npy", change(kept))
    with pytest.raises(ValueError) as caught:
        read(sets)
    assert re.search(says, str(caught.value)) and "\n" not in str(caught.value), caught.value


def test_the_remedies_for_ranges_work(sets: dict[str, Path], tmp_path: Path) -> None:
    before = read(sets)
    for name in ("real", "b"):
        kept = torch.from_numpy(np.load(sets[name]))
        changed = {**sets, name: saved(tmp_path / f"{name}_unit.npy", unit(kept))}
        after = read(changed, ranges={str(changed[name]): (0.0, 1.0)})
        assert torch.allclose(after.real, before.real, atol=1e-6)
        assert torch.allclose(after.methods["b"], before.methods["b"], atol=1e-6)
    with pytest.raises(ValueError, match=r"--range is for 'elsewhere', which is not a set of this evaluation"):
        read(sets, ranges={"elsewhere": (0.0, 1.0)})


def test_images_of_two_sizes_or_modes_in_a_folder_name_both_files(tmp_path: Path) -> None:
    folder = write_images(blobs(3, 0), tmp_path / "mixed")
    Image.new("L", (9, 8)).save(folder / "7.png")
    with pytest.raises(ValueError, match=r"mixed/0\.png is 8 x 8 pixels and .*mixed/7\.png 9 x 8; resize"):
        read_samples(folder)
    Image.new("RGB", (8, 8)).save(folder / "7.png")
    with pytest.raises(ValueError, match=r"mixed/7\.png is in colour and .*mixed/0\.png is grey; .*--mode L"):
        read_samples(folder)
    assert read_samples(folder, Reading(mode="L")).shape == (4, 1, 8, 8)
    (folder / "8.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(ValueError, match=r"mixed/8\.png cannot be read \(not an image\); remove it"):
        read_samples(folder, Reading(mode="L"))


def test_notes_tell_what_is_no_error(sets: dict[str, Path], tmp_path: Path) -> None:
    assert not any("copies" in note for note in read(sets).notes)
    x = blobs(N, 4, 0.2)
    x[:12] = x[12:24]
    sets["b"] = saved(tmp_path / "b.npy", x)
    notes = read(sets).notes
    assert any("10% of the samples in" in note and "b.npy" in note for note in notes)
    assert any("120 samples per set are few" in note for note in notes)
    jpegs = write_images(x, tmp_path / "jpegs", "jpg")
    assert any("jpegs holds JPEG files" in note for note in read({**sets, "b": jpegs}).notes)


# ---------------------------------------------------------------- clipping


def points(n: int, seed: int, noise: float) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, generator=g) + noise * torch.randn(n, 2, generator=g)


def generator(noise: float, low: float | None = None) -> Callable[..., Tensor]:
    def draw(n: int, *, steps: int, seed: int) -> Tensor:
        x = points(n, 1000 * steps + seed, noise / steps)
        return x if low is None else x.clamp(low, -low)

    return draw


@pytest.mark.long
@pytest.mark.parametrize("ready", [True, False], ids=["ready samples", "generators"])
def test_clipping_one_method_is_caught_and_clipping_all_passes(ready: bool) -> None:
    real = points(300, 1, 0.0)

    def given(noise: float, low: float | None) -> object:
        run = generator(noise, low)
        return (
            [{k: run(200, steps=k, seed=s) for k in (1, 2)} for s in (0, 1)] if ready else [run, generator(noise, low)]
        )

    def judged(one: float | None, clip: tuple[float, float] | None) -> object:
        return evaluate(
            real,
            baseline={"plain": given(2.0, None)},
            candidates={"cut": given(1.0, one)},
            clip=clip,
            samples=200,  # type: ignore[dict-item]
        )

    if ready:
        judged(None, None)
    says = r"samples of cut are clipped at -?1\.5 and those of plain reach .*: clip all or none \(--clip LOW,HIGH\)"
    with pytest.raises(ValueError, match=says):
        judged(-1.5, None)
    if ready:
        judged(-1.5, (-1.5, 1.5))


def test_ends_that_are_shared_or_not_passed_are_no_fault() -> None:
    x, y = points(500, 1, 0.0), points(500, 2, 0.0)
    checks.one_clipped({"a": [x.clamp(-1, 1)], "b": [y.clamp(-1, 1)]})
    checks.one_clipped({"a": [x.clamp(-1, 1)], "b": [y * (0.999 / y.abs().max())]})
    checks.one_clipped({"a": [x], "b": [y]})
    checks.one_clipped(
        {"a": [x], "b": [torch.zeros_like(y) + 1e-7 * y]}
    )  # one point: an exact flow after one Euler step
    with pytest.raises(ValueError, match="samples of b are clipped at 1 "):
        checks.one_clipped({"a": [x], "b": [y.clamp(max=1.0)]})


@pytest.mark.long
def test_seeds_keep_their_numbers_and_seconds_are_those_given() -> None:
    real = points(300, 1, 0.0)
    sets = {name: {s: {k: generator(noise)(200, steps=k, seed=s) for k in (1, 2)} for s in (3, 7)}
            for name, noise in (("a", 2.0), ("b", 1.0))}  # fmt: skip
    found = evaluate(
        real, baseline={"a": sets["a"]}, candidates={"b": sets["b"]}, extras=Extras(seconds={"b": {2: 0.25}})
    )
    assert found.study.seeds == [3, 7]
    assert {(r.method, r.steps): r.seconds for r in found.study.rows} == {
        ("a", 1): None, ("a", 2): None, ("b", 1): None, ("b", 2): 0.25
    }  # fmt: skip
    del sets["b"][7][2]
    with pytest.raises(ValueError, match=r"b has samples at \[1, 2\] calls under seed 3 and at \[1\] under seed 7"):
        evaluate(real, baseline={"a": sets["a"]}, candidates={"b": sets["b"]})


def test_tokens_are_judged_by_their_k_grams() -> None:
    def windows(n: int, seed: int, stay: float) -> Tensor:
        """A chain on 4 tokens that goes to the next one, or anywhere with probability 1 - stay."""
        g = np.random.default_rng(seed)
        x = np.zeros((n, 12), dtype=np.int64)
        x[:, 0] = g.integers(4, size=n)
        for t in range(1, 12):
            x[:, t] = np.where(g.random(n) < stay, (x[:, t - 1] + 1) % 4, g.integers(4, size=n))
        return torch.from_numpy(x)

    real = windows(600, 1, 0.8)
    near = {s: {1: windows(400, 10 + s, 0.8)} for s in (0, 1)}
    far = {s: {1: windows(400, 20 + s, 0.0)} for s in (0, 1)}
    study = evaluate(real, baseline={"far": far}, candidates={"near": near}).study
    assert [m.name for m in study.metrics] == ["4-grams", "3-grams", "2-grams", "1-grams"]
    a, b = (study.curve(name).mean("2-grams")[0] for name in ("near", "far"))
    assert abs(a) < 0.01 < 0.1 < b
    assert abs(study.curve("far").mean("1-grams")[0]) < 0.01, "single tokens are equally likely in both"


def test_ready_samples_that_are_sorted_by_class_are_measured_as_shuffled_ones() -> None:
    """The last quarter chooses. Sorted, it would hold one class alone, and the others would be tested."""
    g = np.random.default_rng(0)

    def two(n: int, seed: int, far: float = 0.0) -> Tensor:
        """Two classes, a quarter of the rows at 6, all moved by ``far``; sorted by class."""
        noise = torch.from_numpy(np.random.default_rng(seed).standard_normal((n, 2))).float()
        return noise + far + 6.0 * (torch.arange(n) >= n * 3 // 4)[:, None]

    real = two(900, 1)[torch.from_numpy(g.permutation(900))]
    sets = {
        name: {s: {1: two(400, 10 * k + s, far)} for s in (0, 1)}
        for k, (name, far) in enumerate((("a", 0.5), ("b", 0.0)), 1)
    }
    study = evaluate(real, baseline={"a": sets["a"]}, candidates={"b": sets["b"]}).study
    scatter = study.primary.scatter
    assert scatter is not None and study.real.shares is not None
    for row in study.rows_of("b"):
        name = study.primary.name
        assert abs(row.measure.distance[name]) < 0.02 * scatter and abs(row.measure.validation[name]) < 0.04 * scatter
        classes = row.measure.classes
        assert classes is not None and int(classes.sum()) == 300
        assert float((classes / 300 - study.real.shares).abs().sum()) < 0.3, "every class is tested"


def test_all_ready_sets_are_put_in_one_order() -> None:
    x = torch.arange(100.0)[:, None]
    first, second = (Ready({1: x + 0.5 * k, 2: x})(100, steps=1, seed=k) - 0.5 * k for k in (0, 1))
    assert torch.equal(first, second) and torch.equal(first.sort(0).values, x) and not torch.equal(first, x)
    assert torch.equal(Ready({1: x})(30, steps=1, seed=0), first[:30])
    assert abs(float(first[75:].mean()) - 49.5) < 12, "the last quarter is a quarter of all"
