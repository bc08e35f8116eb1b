"""torch/version.py is read as text, in every form that torch's build has written."""

import pytest

from agent.core.pytorch.version_file import Torch, parse
from tests.support import torch_file


@pytest.mark.parametrize(
    ("text", "torch"),
    [
        (torch_file.text("2.5.1+cu124", cuda="12.4"), Torch("2.5.1", "cuda12.4", True)),
        (torch_file.text("1.13.1", cuda="11.7", annotated=False), Torch("1.13.1", "cuda11.7", True)),
        (torch_file.text("2.5.1+rocm6.2", hip="6.2.41133-dd7f95766"), Torch("2.5.1", "rocm6.2", True)),
        (torch_file.text("2.5.1+cpu"), Torch("2.5.1", "cpu", True)),
        (torch_file.text("2.5.1"), Torch("2.5.1", "cpu", True)),
        (torch_file.text("2.6.0a0+df5bbc09d1.nv24.12", cuda="12.6"), Torch("2.6.0a0", "cuda12.6", True)),
    ],
)
def test_the_file_of_torchs_build_is_read(text: str, torch: Torch) -> None:
    assert parse(text) == torch


@pytest.mark.parametrize(
    ("written", "accelerator"),
    [("2.9.0+cu1281", "cuda12.8"), ("1.7.0+cu92", "cuda9.2"), ("2.5.1+rocm6.1", "rocm6.1"), ("2.9.0+xpu", "xpu")],
)
def test_the_local_part_gives_the_accelerator_if_nothing_else_does(written: str, accelerator: str) -> None:
    assert parse(f'__version__ = "{written}"\n') == Torch(written.partition("+")[0], accelerator)


def test_a_vendors_own_build_is_not_mistaken_for_one_for_the_cpu() -> None:
    assert parse(torch_file.text("2.4.0+hpu.1.18")) == Torch("2.4.0", None, True)


def test_a_file_for_two_accelerators_gives_none() -> None:
    assert parse(torch_file.text("2.4.0", cuda="12.4", hip="6.1.0")) == Torch("2.4.0", None, True)


@pytest.mark.parametrize(
    "text",
    ["", "\0" * 4096, "version = '2.5.1'", "# __version__ = '2.5.1'", "__version__ = find()", "__version__ = 'new'"],
)
def test_a_file_without_a_version_is_not_torchs(text: str) -> None:
    assert parse(text) is None


def test_a_hostile_file_costs_no_time() -> None:
    assert parse("cuda" + ":" * 2000 + "__version__ = '" * 140) is None
