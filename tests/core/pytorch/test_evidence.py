"""Evidence: what a name, a variable, a label or an entrypoint is worth, alone."""

from dataclasses import replace

import pytest

from agent.core import model
from agent.core.model import Class, Evidence, Strength, Verdict
from agent.core.pytorch import classify
from tests.core import catalogue
from tests.core.catalogue import make_image


def verdict(image: model.Image) -> Verdict:
    return classify.classify([image])[image.id]


def test_evidence_is_told_in_words() -> None:
    image = catalogue.pytorch_runtime()
    assert verdict(replace(image, origin=image.digests[0])).evidence == (
        Evidence("repository", Strength.STRONG, "repository pytorch/pytorch, with a digest of it"),
        Evidence("env", Strength.STRONG, "ENV PYTORCH_VERSION=2.9.0"),
    )


def test_a_digest_that_proves_no_origin_is_no_evidence() -> None:
    image = catalogue.pytorch_runtime()
    assert image.digests
    assert verdict(image).evidence[0].text == "repository pytorch/pytorch"


def test_evidence_is_short_and_printable() -> None:
    found = verdict(make_image("a/b:1", env={"PYTORCH_VERSION": "2.9\x1b[31m\n" + "x" * 500}))
    assert [sign.text for sign in found.evidence] == ["ENV PYTORCH_VERSION=2.9 [31m " + "x" * 50 + "…"]


def test_a_variable_and_its_own_line_of_history_are_one_sign() -> None:
    path = "/usr/lib/python3.12/dist-packages/torch/lib"
    history = (f"ENV LD_LIBRARY_PATH={path}", "ENV TORCH_CUDA_ARCH_LIST=8.0")
    image = make_image("a/b:1", env={"LD_LIBRARY_PATH": path, "TORCH_CUDA_ARCH_LIST": "8.0"}, history=history)
    assert {sign.family for sign in verdict(image).evidence} == {"env"}


# Names.


NAMES = {
    "teamai/pytorch:2.9-cuda11.8": Class.PYTORCH,
    "teamai/pytorch:2.9.1-cuda12.4-devel": Class.PYTORCH,
    "teamai/pytorch:2.9-cu118": Class.PYTORCH,
    "registry.corp:5000/teamai/pytorch:2.9-cuda11.8": Class.PYTORCH,
    "teamai/pytorch:2.9-cpu": Class.AMBIGUOUS,
    "teamai/pytorch:2.9-rocm6.1": Class.AMBIGUOUS,
    "teamai/pytorch:2.9": Class.AMBIGUOUS,
    "teamai/pytorch:latest-cuda11.8": Class.AMBIGUOUS,
    "teamai/pytorch-app:2.9-cuda11.8": Class.AMBIGUOUS,
    "pytorch:2.9-cuda11.8": Class.AMBIGUOUS,
    "teamai/tensorflow:2.9-cuda11.8": Class.OTHER,
    "teamai/base:torch280": Class.AMBIGUOUS,
    "pytorch/pytorch:latest": Class.PYTORCH,
    "pytorch/pytorch-fork:latest": Class.AMBIGUOUS,
    "registry.corp:5000/pytorch/pytorch:latest": Class.AMBIGUOUS,
    "harbor.corp/nvcr/nvidia/pytorch:24.01-py3": Class.AMBIGUOUS,
    "mirror.corp/vllm/vllm-openai:v0.9.2": Class.AMBIGUOUS,
    "corp/notvllm/vllm-openai:v0.9.2": Class.OTHER,
    "gcr.io/kubeflow-images-public/pytorch-operator:v1.0.0": Class.OTHER,
    "registry.corp:5000/pytorch/llvm:torch-2.1": Class.OTHER,
    "torchkeeper:0.1.0": Class.OTHER,
    "ghcr.io/torchkeeper/agent:0.1.0": Class.OTHER,
    "corp/torchkeepers:1": Class.AMBIGUOUS,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_alone_is_worth_this_much(name: str) -> None:
    assert verdict(make_image(name, pulled=False)).kind is NAMES[name]


def test_a_known_repository_counts_by_its_digest_too() -> None:
    image = replace(make_image(), digests=(f"pytorch/pytorch@{catalogue.digest('x')}",))
    assert verdict(image).kind is Class.PYTORCH


def test_the_strongest_name_of_several_counts() -> None:
    assert verdict(make_image("a/torch-app:1", "pytorch/pytorch:2.9", "z/z:1", pulled=False)).evidence == (
        Evidence("repository", Strength.STRONG, "repository pytorch/pytorch"),
    )


# Variables and labels.


ENV = {
    ("PYTORCH_VERSION", "2.9.0"): Class.PYTORCH,
    ("PYTORCH_VERSION", "v2.1.0"): Class.PYTORCH,
    ("PYTORCH_VERSION", ""): Class.OTHER,
    ("PYTORCH_VERSION", '""'): Class.OTHER,
    ("PYTORCH_VERSION", "none"): Class.OTHER,
    ("PYTORCH_BUILD_VERSION", "2.2.0a0"): Class.PYTORCH,
    ("NVIDIA_PYTORCH_VERSION", "24.01"): Class.PYTORCH,
    ("NVIDIA_PRODUCT_NAME", "PyTorch"): Class.PYTORCH,
    ("NVIDIA_PRODUCT_NAME", "TensorFlow"): Class.OTHER,
    ("TORCH_CUDA_ARCH_LIST", "8.0"): Class.AMBIGUOUS,
    ("TORCH_NVCC_FLAGS", "-Xfatbin"): Class.AMBIGUOUS,
    ("PYTORCH_ROCM_ARCH", "gfx90a"): Class.AMBIGUOUS,
    ("HOROVOD_WITH_PYTORCH", "1"): Class.AMBIGUOUS,
    ("HOROVOD_WITH_PYTORCH", "0"): Class.OTHER,
    ("NVTE_FRAMEWORK", "pytorch"): Class.AMBIGUOUS,
    ("NVTE_FRAMEWORK", "jax"): Class.OTHER,
    ("LD_LIBRARY_PATH", "/usr/lib/python3/dist-packages/torch/lib"): Class.AMBIGUOUS,
    ("NVIDIA_VISIBLE_DEVICES", "all"): Class.OTHER,
    ("NVIDIA_REQUIRE_CUDA", "cuda>=12"): Class.OTHER,
    ("CUDA_VERSION", "12.1"): Class.OTHER,
}


@pytest.mark.parametrize(("name", "value"), ENV)
def test_a_variable_alone_is_worth_this_much(name: str, value: str) -> None:
    assert verdict(make_image("corp/tool:1", env={name: value})).kind is ENV[name, value]


AWS = "com.amazonaws.ml.engines.sagemaker.dlc.framework."
LABELS = {
    ("com.nvidia.pytorch.version", "2.2.0a0"): Class.PYTORCH,
    ("com.nvidia.pytorch.version", ""): Class.OTHER,
    (AWS + "pytorch.2-3-0", "true"): Class.PYTORCH,
    (AWS + "pytorch.2-3-0", "false"): Class.OTHER,
    (AWS + "tensorflow.2-14-1", "true"): Class.OTHER,
    ("dlc_major_version", "1"): Class.OTHER,
    ("com.nvidia.volumes.needed", "nvidia_driver"): Class.OTHER,
    ("maintainer", "PyTorch Team <torch@example.org>"): Class.OTHER,
}


@pytest.mark.parametrize(("name", "value"), LABELS)
def test_a_label_alone_is_worth_this_much(name: str, value: str) -> None:
    assert verdict(make_image("corp/tool:1", labels={name: value})).kind is LABELS[name, value]


ENTRYPOINTS = {
    ("vllm", "serve"): Class.AMBIGUOUS,
    ("python3", "-m", "vllm.entrypoints.openai.api_server"): Class.AMBIGUOUS,
    ("/opt/venv/bin/text-generation-launcher",): Class.AMBIGUOUS,
    ("/opt/nvidia/nvidia_entrypoint.sh", "python3", "-m", "sglang.launch_server"): Class.AMBIGUOUS,
    ("/bin/sh", "-c", "exec vllm serve $MODEL"): Class.AMBIGUOUS,
    ("vllm-router",): Class.OTHER,
    ("python3", "main.py"): Class.OTHER,
}


@pytest.mark.parametrize("words", ENTRYPOINTS)
def test_an_entrypoint_alone_is_worth_this_much(words: tuple[str, ...]) -> None:
    assert verdict(make_image("corp/tool:1", entrypoint=words, command=())).kind is ENTRYPOINTS[words]
