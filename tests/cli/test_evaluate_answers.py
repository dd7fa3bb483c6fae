"""``warmflow evaluate --inputs``: draws in files are judged as the same tensors; bad input is one line and exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input import run
from torch import Tensor

from warmflow.data.ready import Inputs
from warmflow.evaluation.evaluate import evaluate
from warmflow.evaluation.record import verdict_json

DRAWS, REAL, TRAIN = 4, 180, 200
BIAS = {"cold": 2.0, "warm": 0.3}


def pairs(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs (n, 1) ~ N(0, 1), and truths (n, 2): the input twice, plus N(0, 1/4)."""
    g = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 1, generator=g)
    return inputs, inputs + torch.randn(n, 2, generator=g) / 2


def answers(inputs: Tensor, name: str, calls: int, seed: int) -> Tensor:
    g = torch.Generator().manual_seed(100 * seed + 10 * calls + len(name) + (name == "warm") * 5_000)
    return inputs + torch.randn(DRAWS, len(inputs), 2, generator=g) / 2 + BIAS[name] / calls


def save(path: Path, x: Tensor) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, x.numpy())
    return path


@pytest.fixture
def words(tmp_path: Path) -> list[object]:
    """Arrays of draws for cold, a folder with a file for each draw for warm."""
    inputs, truth = pairs(REAL, 1)
    train_inputs, train = pairs(TRAIN, 2)
    for s in (0, 1):
        for k in (1, 2):
            save(tmp_path / "cold" / f"{k}@{s}.npy", answers(inputs, "cold", k, s))
            for d, x in enumerate(answers(inputs, "warm", k, s)):
                save(tmp_path / "warm" / f"{k}@{s}" / f"{d}.npy", x)
    return [
        "evaluate", "--quiet", "--out", tmp_path / "out", "--real", save(tmp_path / "real.npy", truth),
        "--inputs", save(tmp_path / "inputs.npy", inputs), "--train", save(tmp_path / "train.npy", train),
        "--train-inputs", save(tmp_path / "train-inputs.npy", train_inputs), "--baseline", f"cold={tmp_path / 'cold'}",
        "--candidate", f"warm={tmp_path / 'warm'}",
    ]  # fmt: skip


def test_draws_in_files_are_judged_as_the_same_tensors(words: list[object], tmp_path: Path) -> None:
    inputs, truth = pairs(REAL, 1)
    train_inputs, train = pairs(TRAIN, 2)
    ready = {n: {s: {k: answers(inputs, n, k, s) for k in (1, 2)} for s in (0, 1)} for n in BIAS}
    expected = evaluate(
        truth, baseline={"cold": ready["cold"]}, candidates={"warm": ready["warm"]}, train=train,
        inputs=Inputs(inputs, train_inputs),
    )  # fmt: skip
    code, out, err = run(words)
    assert code == 0, err
    found = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert found == json.loads(json.dumps(verdict_json(expected)))
    assert "pairs of input and output" in out and expected.answers["warm"].text in out
    assert (tmp_path / "out" / "report.html").exists()


def without(words: list[object], option: str) -> list[object]:
    i = words.index(option)
    return words[:i] + words[i + 2 :]


def test_inputs_that_do_not_fit_are_refused_with_the_remedy(words: list[object], tmp_path: Path) -> None:
    def refused(asked: list[object], *parts: str) -> None:
        code, _, err = run(asked)
        assert code == 2 and len(err.strip().splitlines()) == 1, err
        assert all(part in err for part in parts), err
        assert not (tmp_path / "out").exists()

    refused(without(words, "--inputs"), "--train-inputs is", "without --inputs; give the inputs of --real too")
    refused(without(words, "--train-inputs"), "--train is given without --train-inputs")
    refused(
        without(without(words, "--train"), "--train-inputs"),
        "--inputs is given without --train and --train-inputs",
    )
    short = save(tmp_path / "short.npy", pairs(REAL - 1, 1)[0])
    refused(
        [short if str(w).endswith("/inputs.npy") else w for w in words],
        "short.npy has 179 rows and --real",
        "real.npy 180; give one input for each row",
    )
    one = tmp_path / "cold" / "1@0.npy"
    kept = np.load(one)
    np.save(one, kept[0])
    refused(words, "cold/1@0.npy has shape (180, 2); with inputs, give draws of every answer: (draws, inputs, ...)")
    np.save(one, kept[:, :-1])
    refused(words, "cold/1@0.npy has 716 samples and", "give equally many of every method")
    np.save(one, kept)
    (tmp_path / "warm" / "1@0" / "3.npy").unlink()
    save(tmp_path / "warm" / "1@0" / "3.npy", torch.zeros(REAL - 1, 2))
    refused(words, "0.npy has 180 answers and", "3.npy 179; answer every input in every draw")
    for d in range(DRAWS):
        (tmp_path / "warm" / "1@0" / f"{d}.npy").unlink()
    refused(words, "warm/1@0 has no folder or file for each draw; with inputs, give several draws of every answer")


def test_every_set_answers_every_input(words: list[object], tmp_path: Path) -> None:
    """All sets short of the same answer are refused too."""
    for name in BIAS:
        for k in (1, 2):
            for s in (0, 1):
                path = tmp_path / name / f"{k}@{s}"
                for file in [path.with_suffix(".npy")] if name == "cold" else path.iterdir():
                    x = np.load(file)
                    np.save(file, x[..., :-1, :])
    code, _, err = run(words)
    assert code == 2 and "has 716 answers to 180 inputs; give every draw an answer to each row of the real data" in err
