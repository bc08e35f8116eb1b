"""However much text an image contains, little of it is read, and unread text never makes an image evictable."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.lint import contradictions, linter, names
from agent.core.model import Class, Details, HistoryStep, Image, Verdict
from agent.core.policy.decision import Action, Reason
from agent.core.pytorch import bounds, build_history, classify
from tests.core import catalogue
from tests.core.builders import decide, image_id, pytorch_image
from tests.core.catalogue import make_image

MB = 1_000_000  # characters
TORCH = {"PYTORCH_VERSION": "2.9.0"}
INSTALL = "RUN /bin/sh -c pip install torch==2.9.0 # buildkit"
SHORT = Details(
    layers=("sha256:base",),
    env=TORCH,
    labels={"torchkeeper.keep": "true"},
    entrypoint=("python", "-m", "train"),
    history=(HistoryStep(INSTALL, 7),),
)


def verdict(image: Image) -> Verdict:
    return classify.classify([image])[image.id]


def recorded(calls: list[Any], work: Callable[..., Any]) -> Callable[..., Any]:
    """The same work, with the arguments of each call noted."""

    def call(*arguments: Any) -> Any:
        calls.append(arguments)
        return work(*arguments)

    return call


def with_history(*lines: str) -> Details:
    return Details(history=tuple(HistoryStep(line, 1) for line in lines))


def test_details_within_the_bounds_are_not_changed() -> None:
    assert bounds.bounded(SHORT) == SHORT


@pytest.mark.parametrize("image", catalogue.everything(), ids=lambda image: image.references[0] if image else "")
def test_no_image_of_the_catalogue_is_near_a_bound(image: Image) -> None:
    assert image.details is not None
    assert bounds.bounded(image.details) == image.details


def test_lines_that_do_not_fit_are_left_out_whole_and_keep_their_bytes() -> None:
    long = "RUN torch " + "x" * bounds.HISTORY
    assert bounds.bounded(with_history(INSTALL, long, INSTALL)) == replace(
        with_history(INSTALL, "", INSTALL), left_out=("history",)
    )


def test_a_long_line_that_does_not_mention_torch_does_not_count_as_left_out() -> None:
    assert bounds.bounded(with_history("RUN " + "x" * bounds.HISTORY, INSTALL)) == with_history("", INSTALL)


def test_variables_that_do_not_fit_are_left_out_whole() -> None:
    long = Details(env={"A": "1", "LD_LIBRARY_PATH": "x" * bounds.ENV, "B": "2"})
    assert bounds.bounded(long) == Details(env={"A": "1", "B": "2"}, left_out=("ENV",))


def test_long_labels_are_left_out_but_labels_that_keep_an_image_are_shortened() -> None:
    long = "x" * MB
    found = bounds.bounded(Details(labels={"torchkeeper.keep": long, "torchkeeper.ttl": long, "io.build": long}))
    assert {name: len(value) for name, value in found.labels.items()} == {
        "torchkeeper.keep": bounds.LABEL,
        "torchkeeper.ttl": bounds.LABEL,
    }


@pytest.mark.parametrize("label", ["torchkeeper.keep", "torchkeeper.ttl"])
def test_a_label_of_a_megabyte_keeps_its_image(label: str) -> None:
    image = pytorch_image("a", labels={label: "1" * MB})
    assert image.details is not None
    cut = replace(image, details=bounds.bounded(image.details))
    assert [decide(one).decisions[0].reason for one in (image, cut)] == [Reason.LABEL_KEEP] * 2


def test_of_a_program_only_the_first_words_are_kept() -> None:
    long = Details(entrypoint=("x" * MB,) * 100, command=("vllm",) * 100)
    assert bounds.bounded(long) == Details(entrypoint=("x" * bounds.WORD,) * bounds.WORDS, command=("vllm",) * 10)


TOO_MUCH = {
    "100000 lines of history": with_history(*[INSTALL] * 100_000),
    "100000 variables": Details(env={f"A{number}": "" for number in range(100_000)}),
    "100000 labels": Details(labels={f"a{number}": "" for number in range(100_000)}),
    "100000 layers": Details(layers=tuple(f"sha256:{number}" for number in range(100_000))),
    "characters": Details(layers=("x" * MB,)),
    "ID of its parent": Details(parent="x" * MB),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_an_image_with_more_than_any_builder_makes_is_unknown(what: str) -> None:
    image = replace(pytorch_image("a"), details=replace(TOO_MUCH[what], env=TOO_MUCH[what].env or TORCH))
    decision = decide(image).decisions[0]
    assert (decision.reason, what in decision.failure) == (Reason.UNKNOWN, True)


# What is left out makes no image evictable


def test_an_image_with_text_left_out_is_ambiguous_at_most_and_its_verdict_shows_that() -> None:
    image = make_image("team/a:1", env=TORCH, history=("RUN torch " + "x" * bounds.HISTORY,))
    assert verdict(image).kind is Class.AMBIGUOUS
    decision = decide(replace(image, origin="team/a@sha256:1")).decisions[0]
    assert (decision.action, decision.explanation) == (
        Action.KEEP,
        "may be PyTorch, but its history cannot be read completely: too long",
    )


def test_an_image_with_text_left_out_proves_nothing_about_images_built_on_it() -> None:
    long = make_image("team/base:1", history=(INSTALL, "RUN torch " + "x" * bounds.HISTORY), layers=("base", "torch"))
    child = make_image("team/app:1", env={"TORCH_CUDA_ARCH_LIST": "8.0"}, layers=("base", "torch", "app"))
    short = make_image("team/base:2", history=(INSTALL,), layers=("base", "torch"))
    kinds = [classify.classify([child, base])[child.id].kind for base in (long, short)]
    assert kinds == [Class.AMBIGUOUS, Class.PYTORCH]


def test_a_variable_that_makes_a_line_too_long_leaves_the_line_out() -> None:
    filled = "RUN A=" + "keeper" * 100 + ";" + "cat $A;" * 1000 + "pip install torch$A"
    assert build_history.scan(with_history(filled, INSTALL).history).torch == "pip install torch==2.9.0"
    alone = build_history.scan(with_history(filled).history)
    assert (alone.torch, alone.is_whole) == ("", False)
    assert verdict(make_image("team/a:1", env=TORCH, history=(filled,))).kind is Class.AMBIGUOUS


def test_values_that_name_one_another_end() -> None:
    doubling = "RUN A0=torch;" + "".join(f"A{number + 1}=$A{number}$A{number};" for number in range(60))
    assert build_history.scan(with_history(doubling + "pip install $A60").history).is_whole is False


PADDING = st.sampled_from(["", "RUN torch " + "x" * (bounds.HISTORY - 200), "RUN " + "y" * bounds.HISTORY])
LINES = st.sampled_from([INSTALL, "RUN pip uninstall -y torch", "RUN pip install torchvision", "ENV A=1"])


@settings(deadline=None)
@given(st.lists(LINES | PADDING, max_size=6), st.dictionaries(st.sampled_from(["PYTORCH_VERSION", "A"]), PADDING))
def test_leaving_out_text_never_makes_an_image_pytorch(lines: list[str], env: dict[str, str]) -> None:
    image = make_image("team/a:1", env=env, history=lines)
    assert image.details is not None
    known = bounds.bounded(image.details)
    found = verdict(image)
    if known.left_out:
        assert found.kind is not Class.PYTORCH
    assert found.kind is verdict(replace(image, details=known)).kind


# How much is read


def test_a_history_of_ten_megabytes_is_read_only_up_to_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[object, str]] = []
    monkeypatch.setattr(build_history._Reader, "_read", recorded(read, build_history._Reader._read))
    lines = [INSTALL + ";" * 100_000] * 100
    assert verdict(make_image("team/a:1", history=lines)).kind is Class.AMBIGUOUS
    assert 0 < sum(len(line) for _, line in read) <= bounds.HISTORY


def test_images_of_ten_megabytes_each_do_not_take_minutes() -> None:
    hostile = ["RUN torch" + ";" * (10 * MB), "RUN pip install torch " + "a " * (5 * MB), "RUN torch;" + "A=1;" * MB]
    images = [make_image(f"team/a:{number}", history=(line,)) for number, line in enumerate(hostile * 10)]
    started = time.process_time()
    classify.classify(images)
    assert time.process_time() - started < 20  # seconds; read whole, they take a minute and more


def test_lint_does_not_read_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [
        make_image(f"team/pytorch:2.8-cuda12.{number}", env=TORCH | {"CUDA_VERSION": "11.8"}, history=(INSTALL,) * 9)
        for number in range(20)
    ]
    verdicts = classify.classify(images)
    monkeypatch.setattr(build_history, "scan", None)
    assert [one.rule for one in linter.find(images, verdicts)] == [linter.TAG_CONTRADICTS] * 20


def test_lint_reads_a_few_names_of_an_image_and_reports_that_there_are_more(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str]] = []
    monkeypatch.setattr(names, "parse", recorded(read, names.parse))
    images = [
        make_image(*(f"team/pytorch:2.9-cuda12.6-{image}.{number}" for number in range(500)), id=image_id(f"{image}"))
        for image in range(5)
    ]
    verdicts = classify.classify(images)
    found = linter.find(images, verdicts)
    assert len(read) == 5 * linter.NAMES_READ
    assert {one.explanation.partition(": ")[0] for one in found if one.rule == linter.MANY_NAMES} == {
        "is one image under 20 or more tags"
    }


def test_lint_compares_at_most_a_few_versions_with_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, str]] = []
    monkeypatch.setattr(contradictions, "same_version", recorded(compared, contradictions.same_version))
    images = [
        make_image(f"team/pytorch:v{number}", env={"PYTORCH_VERSION": f"2.{number}.0+{('cpu', 'cu126')[number % 2]}"})
        for number in range(500)
    ]
    linter.find(images, classify.classify(images))
    assert 0 < len(compared) <= linter.MOST_COMPARED**2
