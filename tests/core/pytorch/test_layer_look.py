"""What a look into the layers of an image changes about its verdict."""

from dataclasses import replace

import pytest

from agent.core.model import Class, Evidence, Strength, Verdict
from agent.core.pytorch import layer_probe
from agent.core.pytorch.layer_probe import Found, LayerProbe
from agent.core.pytorch.version_file import Torch

SIGN = Evidence("env", Strength.STRONG, "ENV PYTORCH_VERSION=2.4.0")
PYTORCH = Verdict(kind=Class.PYTORCH, evidence=(SIGN,), torch_version="2.4.0", accelerator="cuda11.8")
AMBIGUOUS = replace(PYTORCH, kind=Class.AMBIGUOUS)
PATH = "/usr/lib/python3/dist-packages/torch/version.py"
TORCH = layer_probe.found({PATH: (3, Torch("2.5.1", "cuda12.4"))})
CONFIRMED = Evidence("layers", Strength.STRONG, f"layer 3: {PATH} is of torch 2.5.1")


def test_a_torch_in_the_layers_confirms_and_reports_the_exact_version() -> None:
    assert layer_probe.settled(PYTORCH, TORCH, lifts=False) == Verdict(
        kind=Class.PYTORCH, evidence=(CONFIRMED, SIGN), torch_version="2.5.1", accelerator="cuda12.4"
    )


def test_without_a_torch_in_its_layers_an_image_is_ambiguous_and_its_version_is_not_reported() -> None:
    found = layer_probe.settled(PYTORCH, layer_probe.NOTHING, lifts=True)
    doubt = Evidence("layers", Strength.WEAK, "no torch/version.py in its layers, whatever its names and history say")
    assert found == Verdict(kind=Class.AMBIGUOUS, evidence=(SIGN, doubt), torch_version=None, accelerator="cuda11.8")


def test_until_its_layers_are_read_an_image_is_ambiguous() -> None:
    found = layer_probe.settled(PYTORCH, None, lifts=True)
    assert found == replace(PYTORCH, kind=Class.AMBIGUOUS, evidence=(SIGN, layer_probe.NOT_YET))


def test_layers_that_cannot_be_read_change_nothing() -> None:
    assert layer_probe.settled(PYTORCH, layer_probe.unknown("no permission"), lifts=True) == PYTORCH


@pytest.mark.parametrize(("lifts", "kind"), [(False, Class.AMBIGUOUS), (True, Class.PYTORCH)])
def test_a_torch_makes_an_ambiguous_image_pytorch_only_where_that_is_asked_for(lifts: bool, kind: Class) -> None:
    assert layer_probe.settled(AMBIGUOUS, TORCH, lifts=lifts).kind is kind


@pytest.mark.parametrize("verdict", [Verdict(kind=Class.OTHER), replace(PYTORCH, kind=Class.OTHER, failure="it broke")])
@pytest.mark.parametrize("look", [TORCH, layer_probe.NOTHING, None])
def test_no_look_makes_anything_of_an_image_that_nothing_speaks_for(verdict: Verdict, look: LayerProbe | None) -> None:
    assert layer_probe.settled(verdict, look, lifts=True) == verdict


def test_of_two_torches_that_differ_neither_version_is_reported() -> None:
    look = layer_probe.found({PATH: (3, Torch("2.5.1", "cuda12.4")), "/b": (1, Torch("2.4.0", "cuda12.4"))})
    assert look == LayerProbe(found=Found.TORCH, path=PATH, layer=3, torch_version=None, accelerator="cuda12.4")
    settled = layer_probe.settled(PYTORCH, look, lifts=False)
    assert (settled.torch_version, settled.accelerator) == ("2.4.0", "cuda12.4")


@pytest.mark.parametrize(
    ("named", "told"), [("npu", "npu"), ("hpu", "hpu"), ("cuda12.1", "cpu"), ("rocm6.1", "cpu"), (None, "cpu")]
)
def test_a_torch_for_the_cpu_may_serve_an_accelerator_that_a_plug_in_brings(named: str | None, told: str) -> None:
    look = layer_probe.found({PATH: (1, Torch("2.5.1", "cpu"))})
    assert layer_probe.settled(replace(PYTORCH, accelerator=named), look, lifts=False).accelerator == told


def test_a_path_from_a_stranger_is_reported_on_one_line_of_bounded_length() -> None:
    look = layer_probe.found({"/a\x1b[31m\n" + "b" * 5000 + "/torch/version.py": (1, Torch("2.5.1"))})
    text = layer_probe.settled(PYTORCH, look, lifts=False).evidence[0].text
    assert text.isprintable()
    assert len(text) < 300
