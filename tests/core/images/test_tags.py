"""Tags: how they are parsed, and how their versions are ordered."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from agent.core.images import tags
from agent.core.images.tags import Tag

REPOSITORIES = [
    ("pytorch/pytorch:2.1", "pytorch/pytorch", "2.1"),
    ("pytorch/pytorch", "pytorch/pytorch", ""),
    ("host:5000/org/pytorch:2.1", "host:5000/org/pytorch", "2.1"),
    ("host:5000/org/pytorch", "host:5000/org/pytorch", ""),
    ("[::1]:5000/pytorch:2.1", "[::1]:5000/pytorch", "2.1"),
    ("repo@sha256:0a1b", "repo", ""),
    ("host:5000/repo:2.1@sha256:0a1b", "host:5000/repo", "2.1"),
    ("", "", ""),
]


@pytest.mark.parametrize(("reference", "repository", "tag"), REPOSITORIES)
def test_a_reference_is_split_where_the_engine_splits_it(reference: str, repository: str, tag: str) -> None:
    read = tags.parse(reference)
    assert (read.repository, read.tag) == (repository, tag)


def test_the_convention_is_read_whole() -> None:
    assert tags.parse("teamai/pytorch:2.9-cuda11.8") == Tag(
        repository="teamai/pytorch",
        tag="2.9-cuda11.8",
        scheme="pep440",
        version=Version("2.9"),
        version_text="2.9",
        accelerator="cuda11.8",
    )


def test_a_tag_of_aws_is_read_whole() -> None:
    assert tags.parse("h.example/pytorch-training:2.3.0-gpu-py311-cu121-ubuntu20.04-sagemaker") == Tag(
        repository="h.example/pytorch-training",
        tag="2.3.0-gpu-py311-cu121-ubuntu20.04-sagemaker",
        scheme="pep440",
        version=Version("2.3.0"),
        version_text="2.3.0",
        accelerator="cuda12.1",
        flavour="sagemaker",
        python="3.11",
    )


def test_a_tag_of_rocm_is_read_whole() -> None:
    assert tags.parse("rocm/pytorch:rocm6.1.3_ubuntu22.04_py3.10_pytorch_release_2.3.0") == Tag(
        repository="rocm/pytorch",
        tag="rocm6.1.3_ubuntu22.04_py3.10_pytorch_release_2.3.0",
        scheme="framework",
        version=Version("2.3.0"),
        version_text="2.3.0",
        accelerator="rocm6.1",
        python="3.10",
    )


SCHEMES = [
    ("24.01-py3", "ngc", "24.01"),
    ("24.01-py3-igpu", "ngc", "24.01"),
    ("24.13-py3", "pep440", "24.13"),
    ("24.01", "pep440", "24.01"),
    ("pytorch_release_2.3.0", "framework", "2.3.0"),
    ("pytorch-1.12", "framework", "1.12"),
    ("1.0.2-cu1281-torch280-ubuntu2404", "framework", "2.8.0"),
    ("torch2100", "framework", "2.10.0"),
    ("torch1131", "framework", "1.13.1"),
    ("v072_torch112_cu117", "framework", "1.12"),
    ("latest_torch111", "framework", "1.11"),
    ("torch113", "framework", "1.13"),
    ("torch213", "framework", "2.13"),
    ("torch201", "framework", "2.0.1"),
    ("torch110-cu100", "framework", "1.1.0"),
    ("torch110-cu113", "framework", "1.10"),
    ("torch110-cu101", "opaque", ""),
    ("torch210-cu121", "framework", "2.1.0"),
    ("torch210-cu128", "framework", "2.10"),
    ("torch212-rocm711", "framework", "2.12"),
    ("torch211-rocm5.6", "framework", "2.1.1"),
    ("1.0.3-cu124-torch210", "opaque", ""),
    ("torch210-cuda12", "opaque", ""),
    ("torch210-cpu", "opaque", ""),
    ("torch210", "opaque", ""),
    ("3.10-2.0.0-117", "pep440", "2.0.0"),
    ("3.10-2.0.1-120-devel", "pep440", "2.0.1"),
    ("3.10-2.0.0", "opaque", ""),
    ("3.10-2.0.0-1171", "opaque", ""),
    ("3.10", "pep440", "3.10"),
    ("3.2-0-cpu-py3", "pep440", "3.2"),
    ("server-cuda-v2", "opaque", ""),
    ("rocm6.4.1_vllm_0.9.2_20250715", "opaque", ""),
    ("main-py3.12-cu130-2.11.0", "opaque", ""),
    ("biweekly.202510.1", "opaque", ""),
    ("m125", "opaque", ""),
    ("th2.6.0-cu124", "opaque", ""),
    ("multi-2.10.0-cuda-12.9", "opaque", ""),
    ("2.5.0-py3.12-torch2.5-cuda12.1.1", "framework", "2.5"),
    ("torchvision-0.15", "opaque", ""),
    ("torch20240501", "opaque", ""),
    ("2.4.0.dev20240501-cuda12.1-cudnn8-devel", "pep440", "2.4.0.dev20240501"),
    ("v0.9.2", "pep440", "0.9.2"),
    ("0.6.3.post1-cu124", "pep440", "0.6.3.post1"),
    ("2.1.0-rc1-runtime", "pep440", "2.1.0-rc1"),
    ("2.1.0-dev1-rc1", "pep440", "2.1.0-dev1"),
    ("2.1.0-devel", "pep440", "2.1.0"),
    ("2.1.0-a100", "pep440", "2.1.0"),
    ("2.1.0-b200", "pep440", "2.1.0"),
    ("54", "pep440", "54"),
    ("20240501-devel", "opaque", ""),
    ("latest", "opaque", ""),
    ("sha-1a2b3c4", "opaque", ""),
    ("12abcde", "opaque", ""),
    ("", "opaque", ""),
]


@pytest.mark.parametrize(("tag", "scheme", "version"), SCHEMES)
def test_the_version_is_found_by_scheme(tag: str, scheme: str, version: str) -> None:
    read = tags.parse(f"r:{tag}")
    assert (read.scheme, read.version_text) == (scheme, version)


ORDERED = [
    ["2.9.0.dev20250801-cuda12.8", "2.9.0a0", "2.9.0-rc1", "2.9.0-rc2", "2.9.0-devel", "2.9.0.post1", "2.10-cuda12.8"],
    ["1.13.1", "v2.0", "2.9", "2.10", "2.10.1"],
    ["20.02-py3", "21.12-py3", "23.10-py3", "24.01-py3", "25.04-py3", "25.10-py3", "25.12-py3", "26.07-py3"],
    ["torch110-cu100", "pytorch-1.9", "torch110-cu113", "torch111", "torch112", "torch1121", "torch113", "torch1131"],
    ["torch201", "torch210-cu118", "torch280", "torch290", "torch210-cu128", "torch2101", "torch2.11"],
    ["3.10-1.13.1-116", "3.10-2.0.0-117", "3.10-2.0.1-118-devel", "2.1.0-py3.10-cuda11.8.0-devel"],
]


@pytest.mark.parametrize("rising", ORDERED)
def test_tags_of_one_scheme_rise_from_dev_over_rc_and_final_to_post(rising: list[str]) -> None:
    versions = [tags.parse(f"r:{tag}").version for tag in rising]
    found = [version for version in versions if version is not None]
    assert len(found) == len(rising)
    assert all(low < high for low, high in itertools.pairwise(found))


ACCELERATORS = [
    ("2.1-cuda12.1", "cuda12.1"),
    ("2.1-cuda11.8.0", "cuda11.8"),
    ("2.1-cuda12", "cuda12"),
    ("2.1-CUDA12.1", "cuda12.1"),
    ("2.1-cuda-12.1", "cuda12.1"),
    ("2.1-cu118", "cuda11.8"),
    ("2.1-cuda118", "cuda11.8"),
    ("2.1-cu12", "cuda12"),
    ("2.1-cu12.8", "cuda12.8"),
    ("2.1-cu1281", "cuda12.8"),
    ("2.1-cuda1281", "cuda12.8"),
    ("1.2-cu92", "cuda9.2"),
    ("2.1-cu12811", None),
    ("2.1-cu212", None),
    ("gpu-nvidia-cuda-12-vllm", "cuda12"),
    ("3.10-2.0.0-117", "cuda11.7"),
    ("2.1-cudnn8", None),
    ("2.1-cuda-py3.11", None),
    ("rocm6.1_ubuntu22.04", "rocm6.1"),
    ("2.1-rocm-6.4.1", "rocm6.4"),
    ("2.1-rocm644", "rocm6.4"),
    ("2.1-rocm700", "rocm7.0"),
    ("2.1-rocm64", "rocm6.4"),
    ("2.1-rocm6", "rocm6"),
    ("3.3.6-rocm", "rocm"),
    ("2.1-rocm20240101", None),
    ("2.8.10-xpu-pip-base", "xpu"),
    ("3.3.6-intel-xpu", "xpu"),
    ("3.3.6-intel-cpu", "cpu"),
    ("1.20-hpu", "hpu"),
    ("1.20-gaudi3", "hpu"),
    ("0.9.1-neuronx-py310", "neuron"),
    ("0.9.1-neuron", "neuron"),
    ("2.1-npu", "npu"),
    ("2.1-xpuset", None),
    ("2.1-inputs", None),
    ("2.1-cpu", "cpu"),
    ("2.1-cpu-py3.11", "cpu"),
    ("2.1-cpuset", None),
    ("2.1-gpu", None),
]


@pytest.mark.parametrize(("tag", "accelerator"), ACCELERATORS)
def test_the_accelerator_is_read_from_the_tag(tag: str, accelerator: str | None) -> None:
    assert tags.parse(f"r:{tag}").accelerator == accelerator


@pytest.mark.parametrize(
    ("tag", "python"),
    [
        ("2.1-py3.11", "3.11"),
        ("2.1-py39", "3.9"),
        ("cuda12-python-3.12", "3.12"),
        ("24.01-py3", None),
        ("happy3.1", None),
        ("3.10-2.0.0-117", "3.10"),
    ],
)
def test_the_python_version_is_read_from_the_tag(tag: str, python: str | None) -> None:
    assert tags.parse(f"r:{tag}").python == python


@pytest.mark.parametrize(
    ("tag", "flavour"),
    [
        ("2.1-cuda12.1-cudnn8-devel", "devel"),
        ("2.1-runtime", "runtime"),
        ("2.1", ""),
        ("2.1-training-ec2", "training-ec2"),
        ("24.01-py3-igpu", "igpu"),
        ("r36.2.0-l4t", "l4t"),
        ("2.1-jetson", "jetson"),
        ("3.3.6-trtllm", "trtllm"),
    ],
)
def test_the_flavour_is_read_from_the_tag(tag: str, flavour: str) -> None:
    assert tags.parse(f"r:{tag}").flavour == flavour


WORDS = (
    "1 2.9 24.01 3.10 117 210 112 py3 torch pytorch release cuda cu118 rocm6 xpu rc dev post alpha a b v 99999999999"
    " - _ . : @ /"
)
TAG_LIKE = st.lists(st.sampled_from(WORDS.split())).map("".join)


@given(st.text() | TAG_LIKE)
def test_no_reference_raises(text: str) -> None:
    read = tags.parse(text)
    assert (read.version is None) == (read.scheme == "opaque")


@given(
    st.from_regex(r"[a-z]{1,5}(:[0-9]{2})?/[a-z]{1,5}", fullmatch=True), st.from_regex(r"[\w.-]{1,40}", fullmatch=True)
)
def test_repository_and_tag_are_never_mixed_up(repository: str, tag: str) -> None:
    read = tags.parse(f"{repository}:{tag}@sha256:00")
    assert (read.repository, read.tag) == (repository, tag)
