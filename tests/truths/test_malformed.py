"""Malformed JSON and arrays: a value or one line that names the file and what is wrong, whatever the bytes are."""

import io
import json
import struct
import zipfile

import numpy as np
import pytest
import torch

from warmflow import data, files
from warmflow.checkpoints import load, load_part, open_run, save_part
from warmflow.contracts import Batch
from warmflow.couplings import Independent
from warmflow.couplings.prepare import prepare
from warmflow.data.paired import read_pairs
from warmflow.drafts.jittered import Jittered
from warmflow.evaluation.record import read_row, read_study
from warmflow.experiments.sample import sample_run
from warmflow.experiments.saved_runs import read_run
from warmflow.fields import NetworkField
from warmflow.methods import Parts
from warmflow.networks import MLP
from warmflow.noise import Noise
from warmflow.paths import LinearPath
from warmflow.problems import problem_of
from warmflow.run_config import read_config
from warmflow.sampler import Sampler
from warmflow.schemas import check_arguments
from warmflow.solvers import Euler
from warmflow.sources import StandardNormal

ASKED = {
    "kind": "run",
    "problem": {"name": "moons"},
    "method": {"class": "Cold"},
    "training": {},
    "seed": 0,
    "data": "x",
}


@pytest.fixture
def run(tmp_path):
    """The folder of an untrained flow of points."""
    folder = tmp_path / "run"
    open_run(folder, ASKED)
    field = NetworkField(MLP((2,), width=8, depth=1), LinearPath(0.0), "x1")
    for name in ("model", "raw"):
        save_part(folder, name, Sampler(StandardNormal((2,)), field, Euler(), 4))
    return folder


def one_line(caught, *words):
    said = str(caught.value)
    assert "\n" not in said and len(said) < 1_000
    for word in words:
        assert word in said, said


def changed(path, change):
    told = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(change(told) or told), encoding="utf-8")


def network_of(told):
    return told["fields"]["field"]["fields"]["network"]


MODELS = {
    "class is a number": lambda m: m["fields"].update(source={"class": 7, "fields": {}}),
    "class without a module": lambda m: m["fields"].update(source={"class": "", "fields": {}}),
    "class with dots": lambda m: m["fields"].update(source={"class": "warmflow..os:system", "fields": {}}),
    "class with a zero byte": lambda m: m["fields"].update(source={"class": "warmflow.sources.\0:x", "fields": {}}),
    "class is a function": lambda m: m["fields"].update(source={"class": "warmflow.cli:main", "fields": {}}),
    "class of 20,000 letters": lambda m: m["fields"].update(source={"class": "a" * 20_000, "fields": {}}),
    "given is a number": lambda m: m["fields"].update(source={"given": 5}),
    "tensor that is missing": lambda m: m["fields"].update(source={"tensor": "x"}),
    "tensor is a list": lambda m: m["fields"].update(source={"tensor": []}),
    "no class": lambda m: m["fields"].update(source={}),
    "fields are a list": lambda m: m.update(fields=[1]),
    "a list": lambda m: [1],
    "a text": lambda m: "x",
    "source is a huge number": lambda m: m["fields"].update(source=10**400),
    "field is null": lambda m: m["fields"].update(field=None),
    "solver is a text": lambda m: m["fields"].update(solver="euler"),
    "steps are a text": lambda m: m["fields"].update(steps="4"),
    "hooks are a text": lambda m: m["fields"].update(hooks="abc"),
    "a field too many": lambda m: m["fields"].update(more=1),
    "a field too few": lambda m: m["fields"].pop("steps"),
    "width is a text": lambda m: network_of(m)["arguments"].update(width="8"),
    "width is negative": lambda m: network_of(m)["arguments"].update(width=-4),
    "width is true": lambda m: network_of(m)["arguments"].update(width=True),
    "width is another": lambda m: network_of(m)["arguments"].update(width=9),
    "shape holds a text": lambda m: network_of(m)["arguments"].update(shape=["2"]),
    "arguments are a list": lambda m: network_of(m).update(arguments=[1]),
    "weights are a number": lambda m: network_of(m).update(weights=1),
    "t0 is a text": lambda m: m["fields"]["field"]["fields"]["path"]["fields"].update(t0="x"),
    "predicts is unknown": lambda m: m["fields"]["field"]["fields"].update(predicts="z"),
    "sees are numbers": lambda m: m["fields"]["field"]["fields"].update(sees={"tuple": [1]}),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_malformed_model_is_one_line(run, name):
    changed(run / "model.json", MODELS[name])
    with pytest.raises(ValueError) as caught:
        load(run)(1, seed=0)
    one_line(caught)


@pytest.mark.parametrize(
    "text", ['{"tuple":[' * 400 + "1" + "]}" * 400, "[" * 200_000, "9" * 5_000, "\0", '{"a": NaN}']
)
def test_a_model_of_any_depth_is_one_line(run, text):
    (run / "model.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="run") as caught:
        load(run)
    one_line(caught, "run")


def test_weights_that_are_not_finite_are_told_when_they_are_loaded(run):
    for value in (float("nan"), float("inf")):
        tensors, _ = files.read_tensors(run / "model.safetensors")
        name = next(k for k, v in tensors.items() if v.is_floating_point() and v.ndim == 2)
        tensors[name][0, 0] = value
        files.write_tensors(run / "model.safetensors", tensors)
        with pytest.raises(ValueError, match="not finite") as caught:
            load(run)
        one_line(caught, str(run))


def test_samples_that_are_not_finite_are_not_written(run, tmp_path):
    tensors, _ = files.read_tensors(run / "model.safetensors")
    files.write_tensors(
        run / "model.safetensors", {k: v * 0 + 3e38 if v.is_floating_point() else v for k, v in tensors.items()}
    )
    with pytest.raises(ValueError, match="not finite") as caught:
        sample_run(run, 4, tmp_path / "x.npy", steps=1, progress=False)
    one_line(caught, str(run))
    assert not (tmp_path / "x.npy").exists()


CONFIGS = {
    "asked is a list": ({"asked": []}, "asked"),
    "seed is a text": ({"asked": {**ASKED, "seed": "a"}}, "asked.seed"),
    "seed is huge": ({"asked": {**ASKED, "seed": 10**400}}, "asked.seed"),
    "no data": ({"asked": {k: v for k, v in ASKED.items() if k != "data"}}, "data"),
    "training is a text": ({"asked": {**ASKED, "training": "x"}}, "asked.training"),
    "an option that is none": ({"asked": {**ASKED, "method": {"class": "Cold", "<b>": 1}}}, "<b>"),
    "a method that is none": ({"asked": {**ASKED, "method": {"class": "os:system"}}}, "os:system"),
    "codec without symbols": ({"codec": {"symbols": []}}, "codec.symbols"),
    "codec of numbers": ({"codec": {"symbols": [1]}}, "codec.symbols.0"),
    "levels are a text": ({"codec": {"levels": "x", "low": 0, "high": 1}}, "codec.levels"),
    "seconds are negative": ({"training": {"seconds": -1}}, "training.seconds"),
    "spent is a list": ({"spent": [1]}, "spent"),
    "classes are a text": ({"classes": "ab"}, "classes"),
    "version is a mapping": ({"warmflow": {"a": 1}}, "warmflow"),
    "kind is a list": ({"kind": ["run"]}, "kind"),
    "teacher without a path": ({"teacher": {"path": 5}}, "teacher.path"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_malformed_config_names_the_place(run, name):
    change, place = CONFIGS[name]
    changed(run / "config.json", lambda told: {**told, **change})
    with pytest.raises(ValueError) as caught:
        read_run(run)
    one_line(caught, str(run / "config.json"), place)


def test_what_only_the_report_reads_may_be_anything(run):
    changed(run / "config.json", lambda told: {**told, "notes": 5, "facts": [1], "versions": None})
    assert read_config(run)["asked"]["seed"] == 0


def test_arguments_are_checked_by_annotations():
    check_arguments(MLP, {"shape": [2], "width": 8, "sees": {"y": [1]}, "dropout": 0})
    for given, said in (
        ({"shape": [2], "width": "8"}, "width of MLP is '8'"),
        ({"width": 8}, "shape"),
        ({"shape": [2], "wide": 8}, "wide"),
        ({"shape": 2}, "shape of MLP is 2"),
        ([2], r"arguments of MLP are \[2\]"),
    ):
        with pytest.raises(TypeError, match=said):
            check_arguments(MLP, given)


@pytest.mark.parametrize(
    "line", ["[]", "{}", '{"method": 5}', '{"method": "a", "steps": -1, "calls": 1, "seed": 0}', "[" * 9_000]
)
def test_a_malformed_row_is_one_line(tmp_path, line):
    files.write_tensors(tmp_path / "row.safetensors", {"0.x": torch.ones(3)})
    (tmp_path / "row.json").write_text(line, encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        read_row(tmp_path)
    one_line(caught, "row.json")


@pytest.mark.parametrize(
    "text", ["{}", '{"rows": 5}', '{"rows": [5], "real": {}}', '{"rows": [], "real": [], "methods": []}']
)
def test_a_malformed_study_is_one_line(tmp_path, text):
    files.write_tensors(tmp_path / "study.safetensors", {"x": torch.ones(3)})
    (tmp_path / "study.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        read_study(tmp_path)
    one_line(caught, "study.json")


# ---------------------------------------------------------------- arrays

X = np.random.default_rng(0).normal(size=(300, 2)).astype("f4")


def head(shape, kind="'<f4'"):
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


ARRAYS = {
    "a shape of 80 petabytes": head("(10000000000000000, 2)") + X.tobytes(),
    "a shape of 32 GB": head("(4000000000, 2)") + X.tobytes(),
    "a negative shape": head("(-1, 2)"),
    "a shape that overflows": head(f"({2**62}, {2**62})"),
    "a shape of floats": head("(3e2, 2)"),
    "70 dimensions": head("(" + "1, " * 70 + ")") + b"\0\0\0\0",
    "nested brackets": b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000,
    "9,000 signs": b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"-" * 8999 + b"1",
    "an open string": head("(300, 2), '''"),
    "a header of 2 GB": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"{",
    "version 9": b"\x93NUMPY\x09\x00" + b"\0" * 50,
    "nothing": b"",
    "the beginning alone": b"\x93NUMPY",
    "a pickle": b"\x80\x04\x95.",
    "an archive without content": b"PK\x03\x04" + b"\0" * 100,
    "records": head("(300,)", "[('a', '<f4'), ('b', '<i8')]") + b"\0" * 3600,
    "raw bytes": head("(300, 2)", "'|V4'") + X.tobytes(),
    "dates": head("(300, 2)", "'<M8[s]'") + b"\0" * 4800,
    "complex numbers": head("(300, 2)", "'<c8'") + b"\0" * 4800,
    "letters": head("(300, 2)", "'<U1'") + b"A\0\0\0" * 600,
    "no dtype": head("(300, 2)", "'nope'"),
    "objects": head("(300, 2)", "'|O'") + b"\0" * 4800,
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_malformed_array_is_one_line(tmp_path, name):
    (path := tmp_path / "x.npy").write_bytes(ARRAYS[name])
    with pytest.raises(ValueError) as caught:
        data.load(str(path))
    one_line(caught, str(path))


def test_other_orders_and_long_floats_are_read(tmp_path):
    for kind in ("<f4", ">f4", "<f8", ">f8", "<f2", np.dtype("longdouble").str):
        np.save(tmp_path / "x.npy", X.astype(kind))
        assert data.load(str(tmp_path / "x.npy")).total == 300
    np.save(tmp_path / "x.npy", np.asfortranarray(X))
    assert torch.equal(data.load(str(tmp_path / "x.npy")).everything.sort(0).values, torch.from_numpy(X).sort(0).values)


def archive(kind=zipfile.ZIP_DEFLATED, **members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as file:
        for name, told in members.items():
            file.writestr(name, told)
    return bytearray(out.getvalue())


def npy(x):
    out = io.BytesIO()
    np.save(out, x)
    return out.getvalue()


def edited(found, change):
    change(found, found.index(b"PK\x01\x02"))
    return found


ZIPS = {
    "damaged deflate": lambda: edited(archive(**{"x.npy": npy(X)}), lambda b, _: b.__setitem__(slice(120, 140), b"\xff" * 20)),
    "one flipped bit": lambda: edited(archive(**{"x.npy": npy(X)}), lambda b, _: b.__setitem__(700, b[700] ^ 0x55)),
    "an encrypted member": lambda: edited(
        archive(**{"x.npy": npy(X)}), lambda b, i: (b.__setitem__(6, 1), b.__setitem__(i + 8, 1))
    ),
    "an unknown compression": lambda: edited(
        archive(**{"x.npy": npy(X)}), lambda b, i: (b.__setitem__(8, 99), b.__setitem__(i + 10, 99))
    ),
    "lzma": lambda: archive(zipfile.ZIP_LZMA, **{"x.npy": npy(X)}),
    "half of it": lambda: archive(**{"x.npy": npy(X)})[:500],
    "a member of text": lambda: archive(x=b"raw text"),
    "a member outside": lambda: archive(**{"../../x.npy": b"\x93NUMPY"}),
    "a member of a huge shape": lambda: archive(**{"x.npy": head("(1000000000000, 2)")}),
    "a member with a mark": lambda: archive(**{"a\x1b[31m.npy": npy(X), "b.npy": npy(X)}),
}  # fmt: skip


@pytest.mark.parametrize("name", ZIPS)
def test_a_malformed_archive_is_one_line(tmp_path, name):
    (path := tmp_path / "x.npz").write_bytes(ZIPS[name]())
    for read in (lambda: data.load(str(path)), lambda: read_pairs(path)):
        with pytest.raises(ValueError) as caught:
            read()
        one_line(caught, str(path))
        assert "\x1b" not in str(caught.value)


def test_an_archive_that_expands_to_fill_the_memory_is_refused(tmp_path):
    n = 70_000_000
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as file, file.open("x.npy", "w") as member:
        member.write(head(f"({n}, 4)"))
        for _ in range(n * 16 // 2**24 + 1):
            member.write(b"\0" * 2**24)
    with pytest.raises(ValueError, match="takes 1072 MB in memory; of its size at most 1024 MB"):
        data.load(str(tmp_path / "x.npz"))


def test_damaged_pairs_are_made_again(tmp_path):
    batch = Batch(torch.randn(20, 2), {}, torch.arange(20))
    made = prepare(Independent(), batch, StandardNormal((2,)), tmp_path)
    for name, text in (("pairs.json", b"[1]"), ("round*", b"x" * 99), ("round*", b"")):
        next(tmp_path.glob(name)).write_bytes(text)
        again = prepare(Independent(), batch, StandardNormal((2,)), tmp_path)
        assert torch.equal(again.x1, made.x1) and torch.equal(again.start.x0, made.start.x0)


def test_a_source_that_is_damaged_is_one_line(tmp_path):
    open_run(tmp_path, {"kind": "source", "seed": 0})
    save_part(tmp_path, "source", StandardNormal((2,)))
    changed(tmp_path / "source.json", lambda m: m["fields"].update(shape={"tuple": ["a"]}))
    with pytest.raises(ValueError) as caught:
        load_part(tmp_path, "source")
    one_line(caught, str(tmp_path), "shape")


def test_a_source_that_draws_another_shape_is_made_again(tmp_path, capsys):
    setup, draft = problem_of("moons").setup(width=8), Jittered()
    made = Parts(setup, 0, tmp_path).draft(draft)
    [path] = tmp_path.glob("drafts/*/source/source.json")
    changed(path, lambda m: m["fields"]["source"]["fields"].update(shape={"tuple": []}))
    again = Parts(setup, 0, tmp_path).draft(draft)
    assert capsys.readouterr().err.strip().endswith("it is made again")
    noise = Noise.of(0, 5)
    assert torch.equal(again.draw(5, noise=noise).x0, made.draw(5, noise=noise).x0)


def test_a_long_or_odd_value_of_a_file_is_told_in_one_short_line(tmp_path):
    """A name with a new line, a value of thousands of characters, in what is compared with what was asked."""
    open_run(tmp_path / "run", {"kind": "run", "a\nb": "x" * 9_000, "c": list(range(5_000))})
    for asked in ({"kind": "run", "a\nb": 1, "c": list(range(5_000))}, {"kind": "run", "a\nb": "x" * 9_000, "c": 1}):
        with pytest.raises(ValueError) as caught:
            open_run(tmp_path / "run", asked)
        one_line(caught, "holds a run with other settings")
        assert len(str(caught.value)) < 1_000
    with pytest.raises(ValueError) as caught:
        Jittered(spread="x" * 9_000)
    assert len(str(caught.value)) < 300
    given = Independent(), Batch(torch.randn(20, 2), {}, torch.arange(20)), StandardNormal((2,)), tmp_path / "pairs"
    prepare(*given)
    changed(tmp_path / "pairs" / "pairs.json", lambda m: m.update(data=list(range(5_000))))
    with pytest.raises(ValueError, match="pairs made with data = .* \\.\\.\\. ") as caught:
        prepare(*given)
    assert len(str(caught.value)) < 1_000


def test_an_archive_of_one_number_with_labels_is_one_line(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.float32(3), label=np.arange(4), classes=np.array(["a", "b"]))
    with pytest.raises(ValueError) as caught:
        data.load(str(tmp_path / "x.npz"))
    one_line(caught, "x.npz")


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "model.safetensors"])
def test_weights_without_a_config_are_not_taken_for_those_of_another_run(tmp_path, name):
    """Training on other data would go on from them and call the result its own."""
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=f"no config.json that says of which run {name} is"):
        open_run(tmp_path, ASKED)
    (tmp_path / "config.json").write_bytes(b"")
    with pytest.raises(ValueError, match="restore it, or run the command into another folder"):
        open_run(tmp_path, ASKED)
