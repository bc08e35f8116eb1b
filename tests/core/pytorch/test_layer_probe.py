"""The effect of a layer probe on the verdict on an image."""

from dataclasses import replace

import pytest

from agent.core.model import Class, Evidence, Strength, Verdict
from agent.core.pytorch import layer_probe
from agent.core.pytorch.layer_probe import LayerProbe, ProbeResult
from agent.core.pytorch.version_file import Torch

SIGN = Evidence("env", Strength.STRONG, "ENV PYTORCH_VERSION=2.4.0")
PYTORCH = Verdict(kind=Class.PYTORCH, evidence=(SIGN,), torch_version="2.4.0", accelerator="cuda11.8")
AMBIGUOUS = replace(PYTORCH, kind=Class.AMBIGUOUS)
PATH = "/usr/lib/python3/dist-packages/torch/version.py"
TORCH = layer_probe.found({PATH: (3, Torch("2.5.1", "cuda12.4"))})
CONFIRMED = Evidence("layers", Strength.STRONG, f"layer 3: {PATH} is of torch 2.5.1")


def test_a_torch_in_the_layers_confirms_the_verdict_and_gives_the_exact_version() -> None:
    assert layer_probe.apply(PYTORCH, TORCH, lifts=False) == Verdict(
        kind=Class.PYTORCH, evidence=(CONFIRMED, SIGN), torch_version="2.5.1", accelerator="cuda12.4"
    )


def test_without_a_torch_in_its_layers_an_image_is_ambiguous_and_has_no_version() -> None:
    found = layer_probe.apply(PYTORCH, layer_probe.NOTHING, lifts=True)
    doubt = Evidence("layers", Strength.WEAK, "no torch/version.py in its layers, whatever its names and history show")
    assert found == Verdict(kind=Class.AMBIGUOUS, evidence=(SIGN, doubt), torch_version=None, accelerator="cuda11.8")


def test_until_its_layers_are_read_an_image_is_ambiguous() -> None:
    found = layer_probe.apply(PYTORCH, None, lifts=True)
    assert found == replace(PYTORCH, kind=Class.AMBIGUOUS, evidence=(SIGN, layer_probe.NOT_YET))


def test_layers_that_cannot_be_read_change_nothing() -> None:
    assert layer_probe.apply(PYTORCH, layer_probe.unknown("no permission"), lifts=True) == PYTORCH


@pytest.mark.parametrize(("lifts", "kind"), [(False, Class.AMBIGUOUS), (True, Class.PYTORCH)])
def test_a_torch_makes_an_ambiguous_image_pytorch_only_if_the_policy_evicts_ambiguous_ones(
    lifts: bool, kind: Class
) -> None:
    assert layer_probe.apply(AMBIGUOUS, TORCH, lifts=lifts).kind is kind


@pytest.mark.parametrize("verdict", [Verdict(kind=Class.OTHER), replace(PYTORCH, kind=Class.OTHER, failure="it broke")])
@pytest.mark.parametrize("look", [TORCH, layer_probe.NOTHING, None])
def test_no_probe_changes_the_verdict_on_an_image_that_shows_no_sign_of_torch(
    verdict: Verdict, look: LayerProbe | None
) -> None:
    assert layer_probe.apply(verdict, look, lifts=True) == verdict


def test_two_torches_that_differ_give_no_version() -> None:
    look = layer_probe.found({PATH: (3, Torch("2.5.1", "cuda12.4")), "/b": (1, Torch("2.4.0", "cuda12.4"))})
    assert look == LayerProbe(result=ProbeResult.TORCH, path=PATH, layer=3, torch_version=None, accelerator="cuda12.4")
    settled = layer_probe.apply(PYTORCH, look, lifts=False)
    assert (settled.torch_version, settled.accelerator) == ("2.4.0", "cuda12.4")


@pytest.mark.parametrize(
    ("named", "expected"), [("npu", "npu"), ("hpu", "hpu"), ("cuda12.1", "cpu"), ("rocm6.1", "cpu"), (None, "cpu")]
)
def test_a_torch_for_the_cpu_may_serve_the_accelerator_of_a_plug_in(named: str | None, expected: str) -> None:
    look = layer_probe.found({PATH: (1, Torch("2.5.1", "cpu"))})
    assert layer_probe.apply(replace(PYTORCH, accelerator=named), look, lifts=False).accelerator == expected


def test_a_path_from_a_stranger_is_shown_on_one_line_of_bounded_length() -> None:
    look = layer_probe.found({"/a\x1b[31m\n" + "b" * 5000 + "/torch/version.py": (1, Torch("2.5.1"))})
    text = layer_probe.apply(PYTORCH, look, lifts=False).evidence[0].text
    assert text.isprintable()
    assert len(text) < 300
