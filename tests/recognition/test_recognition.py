"""In the project's own fixtures no image without torch counts as PyTorch, and each gets the verdict that it must."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.recognition import corpus, tally
from tests.recognition.corpus import Row
from tests.recognition.tally import Judged

FIXTURES = corpus.fixtures()


def judged(row: Row) -> Judged:
    return tally.judge([row])[0]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in FIXTURES])
def test_an_image_gets_the_verdict_that_it_must_get(row: Row) -> None:
    one = judged(row)
    assert one.is_as_expected(), (one.verdict.kind, one.verdict.torch_version, one.verdict.accelerator)


def test_no_image_without_torch_is_called_pytorch() -> None:
    assert [row.name for row in FIXTURES if judged(row).is_false] == []


def test_every_fixture_has_a_name_of_its_own_and_says_what_is_true() -> None:
    assert [name for name, count in Counter(row.name for row in FIXTURES).items() if count > 1] == []
    assert {row.truth for row in FIXTURES} == set(corpus.TRUTHS)
    assert {row.verdict for row in FIXTURES} == {"pytorch", "ambiguous", "other", "kept"}


# The figures.


def line(name: str, truth: str, **fields: object) -> str:
    return json.dumps({"name": name, "references": [name], "truth": truth, **fields})


TORCH = {"Env": ["PYTORCH_VERSION=2.9.0", "CUDA_VERSION=12.8.1"]}
LINES = [
    line("a/real:1", "yes", config=TORCH, torch_version="2.9.0", accelerator="cuda12.8", builder="buildkit"),
    line("a/missed:1", "yes"),
    line("a/unsure-torch:1", "yes", builder="buildkit"),
    line("a/unsure-torch:1", "yes", config=TORCH, torch_version="2.8.0", accelerator="cpu", builder="classic"),
    line("a/app:1", "embeds", config=TORCH),
    line("a/false:1", "no", config=TORCH, builder="classic"),
    line("a/torch-tool:1", "no"),
    line("a/plain:1", "no", config={"Entrypoint": "run.sh", "Cmd": None}),
    line("a/unknown:1", "no", config=TORCH, scored=False),
    "",
]
FIGURES = [
    "recall=0.500 false_pytorch=1 ambiguous_true=0.5",
    "  truth yes     images=3 pytorch=1.5 ambiguous=0.5 other=1",
    "  truth embeds  images=1 pytorch=1 ambiguous=0 other=0",
    "  truth no      images=3 pytorch=1 ambiguous=1 other=1",
    "  recall_with_embeds=0.625",
    "  torch_version: known=2 told=2 right=1 wrong=1",
    "  accelerator: known=2 told=2 right=1 wrong=1",
]
ERRORS = [
    "FALSE PYTORCH  pytorch classic a/false:1",
    "WRONG VERSION  2.9.0, not 2.8.0: pytorch classic a/unsure-torch:1",
    "WRONG ACCELERATOR  cuda12.8, not cpu: pytorch classic a/unsure-torch:1",
    "MISSED (yes)  other a/missed:1",
    "MISSED (yes)  ambiguous buildkit a/unsure-torch:1",
    "AMBIGUOUS WITHOUT TORCH  ambiguous a/torch-tool:1",
]


def test_the_rows_of_one_image_have_one_vote() -> None:
    assert list(tally.lines(tally.judge(corpus.read(LINES)))) == FIGURES


def test_each_error_is_named_with_its_evidence() -> None:
    found = list(tally.errors(tally.judge(corpus.read(LINES))))
    assert [text.partition(" [")[0] for text in found] == ERRORS
    assert found[0].endswith("[ENV PYTORCH_VERSION=2.9.0]")


def test_without_its_name_an_image_is_judged_by_what_is_in_it() -> None:
    named = corpus.read([line("pytorch/pytorch:2.9", "yes")])
    assert [one.verdict.kind for one in tally.judge(named)] == ["pytorch"]
    assert [one.verdict.kind for one in tally.judge([corpus.unnamed(row) for row in named])] == ["other"]


@pytest.mark.parametrize(("lines", "code"), [(LINES, 1), (LINES[:5], 0)], ids=["a false one", "none"])
def test_the_command_fails_where_an_image_without_torch_is_called_pytorch(
    tmp_path: Path, lines: list[str], code: int
) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_text("\n".join(lines))
    done = subprocess.run(
        [sys.executable, "-m", "tests.recognition", str(file)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith("recall=")
