"""The strength of a name, a variable, a label or an entrypoint alone."""

from dataclasses import replace

import pytest

from agent.core import model
from agent.core.model import Class, Evidence, Strength, Verdict
from agent.core.pytorch import classify
from tests.core import catalogue
from tests.core.catalogue import make_image


def verdict(image: model.Image) -> Verdict:
    return classify.classify([image])[image.id]


def test_evidence_has_text_for_people() -> None:
    image = catalogue.pytorch_runtime()
    assert verdict(replace(image, origin=image.digests[0])).evidence == (
        Evidence("repository", Strength.STRONG, "repository pytorch/pytorch, with a digest of it"),
        Evidence("env", Strength.STRONG, "ENV PYTORCH_VERSION=2.9.0"),
    )


def test_a_digest_that_proves_no_origin_is_not_evidence() -> None:
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
    assert {sign.kind for sign in verdict(image).evidence} == {"env"}


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
    "rocm/pytorch:rocm6.4_ubuntu24.04_py3.12_pytorch_release_2.6.0": Class.PYTORCH,
    "rocm/pytorch:latest-base": Class.AMBIGUOUS,
    "mirror.corp/rocm/pytorch:latest-base": Class.AMBIGUOUS,
    "ghcr.io/huggingface/text-generation-inference:3.3.6": Class.PYTORCH,
    "ghcr.io/huggingface/text-generation-inference:3.3.6-trtllm": Class.AMBIGUOUS,
    "ghcr.io/huggingface/text-generation-inference:latest-TRTLLM": Class.AMBIGUOUS,
    "pytorch/torchserve:latest-gpu": Class.PYTORCH,
    "pytorch/torchserve:latest-cpp-dev-cpu": Class.AMBIGUOUS,
    "rocm/pytorch-nightly:latest": Class.AMBIGUOUS,
    "rocm/vllm:rocm6.4.1_vllm_0.9.2": Class.PYTORCH,
    "ghcr.io/kubeflow/kubeflow/notebook-servers/jupyter-pytorch-cuda-full:v1.10.0": Class.PYTORCH,
    "ghcr.io/kubeflow/kubeflow/notebook-servers/jupyter-tensorflow:v1.10.0": Class.OTHER,
    "public.ecr.aws/deep-learning-containers/vllm:server-cuda-v2": Class.PYTORCH,
    "public.ecr.aws/deep-learning-containers/ray:serve-ml-cuda": Class.OTHER,
    "763104351884.dkr.ecr.eu-west-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.1.1": Class.PYTORCH,
    "763104351884.dkr.ecr.eu-west-1.amazonaws.com/vllm:0.9-gpu": Class.PYTORCH,
    "763104351884.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-training:2.14": Class.OTHER,
    "763104351884.dkr.ecr.eu-west-1.amazonaws.com/autogluon-training:1.3": Class.OTHER,
    "111111111111.dkr.ecr.eu-west-1.amazonaws.com/pytorch-training:2.3": Class.AMBIGUOUS,
    "763104351884.dkr.ecr.evil.example/a.amazonaws.com/pytorch-training:2.3": Class.AMBIGUOUS,
    "gcr.io/deeplearning-platform-release/pytorch-gpu.1-13:m110": Class.PYTORCH,
    "us-docker.pkg.dev/deeplearning-platform-release/gcr.io/pytorch-cu124.2-4.py310:latest": Class.PYTORCH,
    "gcr.io/deeplearning-platform-release/tf2-gpu.2-11:m110": Class.OTHER,
    "quay.io/opendatahub/workbench-images:jupyter-pytorch-ubi9-python-3.11-2024b": Class.PYTORCH,
    "quay.io/opendatahub/workbench-images:jupyter-datascience-ubi9-python-3.11-2024b": Class.OTHER,
    "mirror.corp/opendatahub/workbench-images:jupyter-datascience-ubi9": Class.OTHER,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_alone_has_this_strength(name: str) -> None:
    assert verdict(make_image(name, pulled=False)).kind is NAMES[name]


def test_a_known_repository_counts_by_its_digest_too() -> None:
    image = replace(make_image(), digests=(f"pytorch/pytorch@{catalogue.digest('x')}",))
    assert verdict(image).kind is Class.PYTORCH


def test_the_strongest_name_of_several_counts() -> None:
    assert verdict(make_image("a/torch-app:1", "pytorch/pytorch:2.9", "z/z:1", pulled=False)).evidence == (
        Evidence("repository", Strength.STRONG, "repository pytorch/pytorch"),
    )


def digests(*repositories: str, tags: tuple[str, ...] = (), **changes: object) -> model.Image:
    """An image with these tags and the digests of its repositories."""
    image = make_image(*tags, pulled=False, **changes)  # type: ignore[arg-type]
    return replace(image, digests=tuple(f"{name}@{catalogue.digest(name)}" for name in repositories))


def test_a_digest_alone_is_a_hint_if_some_tags_of_its_repository_have_no_torch() -> None:
    assert verdict(digests("rocm/pytorch")).kind is Class.AMBIGUOUS


def test_a_tag_of_such_a_repository_decides_between_them() -> None:
    assert verdict(digests("rocm/pytorch", tags=("rocm/pytorch:rocm6.4_pytorch_release_2.6.0",))).kind is Class.PYTORCH


def test_a_tag_without_torch_makes_every_name_with_its_path_weak() -> None:
    others = ("rocm/pytorch:mine", "mirror.corp/rocm/pytorch:2.6-cuda12.4")
    image = digests("rocm/pytorch", "mirror.corp/rocm/pytorch", tags=("rocm/pytorch:latest-base", *others))
    assert {sign.strength for sign in verdict(image).evidence} == {Strength.WEAK}


def test_a_mirror_of_a_tag_without_torch_makes_the_original_name_weak_as_well() -> None:
    image = digests("rocm/pytorch", tags=("rocm/pytorch:mine", "mirror.corp/hub/rocm/pytorch:latest-base"))
    assert verdict(image).kind is Class.AMBIGUOUS


def test_it_does_not_affect_a_name_with_another_path() -> None:
    image = digests(tags=("rocm/pytorch:latest-base", "pytorch/pytorch:2.9"))
    assert verdict(image).kind is Class.PYTORCH


ONE_FACT = {
    "a mirror of ROCm's name, and ROCm's variable": make_image(
        "mirror.corp/rocm/pytorch:latest", env={"PYTORCH_ROCM_ARCH": "gfx90a"}
    ),
    "a digest of ROCm's, and ROCm's variable": digests("rocm/pytorch", env={"PYTORCH_ROCM_ARCH": "gfx90a"}),
    "a mirror of vLLM's name, and its program": make_image(
        "mirror.corp/vllm/vllm-openai:latest", entrypoint=("vllm", "serve")
    ),
    "vLLM's variable, label and program": make_image(
        "corp/llm:1",
        env={"VLLM_USAGE_SOURCE": "corp", "VLLM_BUILD_COMMIT": "abc"},
        labels={"ai.vllm.build.commit": "abc"},
        entrypoint=("vllm", "serve"),
    ),
    "a mirror of TGI's name, and its program": make_image(
        "mirror.corp/huggingface/text-generation-inference:latest", entrypoint=("text-generation-launcher",)
    ),
    "a mirror of SGLang's name, and its module": make_image(
        "mirror.corp/lmsysorg/sglang:latest", entrypoint=("python3", "-m", "sglang.launch_server")
    ),
    "the index in ENV, and in the history": make_image(
        "corp/tool:1",
        env={"PIP_EXTRA_INDEX_URL": "https://download.pytorch.org/whl/cpu"},
        history=["RUN pip install -r requirements.txt --extra-index-url https://download.pytorch.org/whl/cpu"],
    ),
    "how memory would be allocated, and the index": make_image(
        "corp/tool:1",
        env={"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"},
        history=["RUN pip install -r requirements.txt --extra-index-url https://download.pytorch.org/whl/cpu"],
    ),
    "PyTorch's own image for CI": make_image(
        "308535385114.dkr.ecr.us-east-1.amazonaws.com/pytorch/ci-image:pytorch-linux-jammy-py3",
        env={"TORCH_CUDA_ARCH_LIST": "Maxwell", "TORCH_NVCC_FLAGS": "-Xfatbin"},
    ),
    "the builder of PyTorch's wheels for ROCm": make_image(
        "pytorch/manylinux2_28-builder:rocm6.4-main", env={"PYTORCH_ROCM_ARCH": "gfx90a"}
    ),
}


@pytest.mark.parametrize("what", ONE_FACT)
def test_signs_with_one_cause_count_once(what: str) -> None:
    assert verdict(ONE_FACT[what]).kind is Class.AMBIGUOUS


TWO_FACTS = {
    "torch's version in the tag, and ROCm's variable": make_image(
        "corp/base:1.0-rocm6.4-pytorch260", env={"PYTORCH_ROCM_ARCH": "gfx90a"}
    ),
    "torch's version in a mirror's tag, and ROCm's variable": make_image(
        "mirror.corp/rocm/pytorch:rocm6.4_pytorch_release_2.6.0", env={"PYTORCH_ROCM_ARCH": "gfx90a"}
    ),
    "vLLM's program, and the index": make_image(
        "corp/llm:1",
        env={"PIP_EXTRA_INDEX_URL": "https://download.pytorch.org/whl/cpu"},
        entrypoint=("vllm", "serve"),
    ),
}


@pytest.mark.parametrize("what", TWO_FACTS)
def test_signs_with_two_causes_suffice(what: str) -> None:
    assert verdict(TWO_FACTS[what]).kind is Class.PYTORCH


def test_of_several_variables_with_one_cause_the_first_is_shown() -> None:
    env = {"VLLM_USAGE_SOURCE": "a", "VLLM_BUILD_COMMIT": "b", "VLLM_IMAGE_TAG": "c"}
    assert [sign.text for sign in verdict(make_image("corp/llm:1", env=env)).evidence] == ["ENV VLLM_USAGE_SOURCE=a"]


def test_of_an_address_with_a_password_only_the_index_is_shown() -> None:
    env = {"PIP_INDEX_URL": "https://user:secret@corp.example/simple https://download.pytorch.org/whl/cpu"}
    assert [sign.text for sign in verdict(make_image("corp/tool:1", env=env)).evidence] == [
        "ENV PIP_INDEX_URL has download.pytorch.org"
    ]


# Variables and labels.


ENV = {
    ("PYTORCH_VERSION", "2.9.0"): Class.PYTORCH,
    ("PYTORCH_VERSION", "v2.1.0"): Class.PYTORCH,
    ("PYTORCH_VERSION", ""): Class.OTHER,
    ("PYTORCH_VERSION", '""'): Class.OTHER,
    ("PYTORCH_VERSION", "none"): Class.OTHER,
    ("PYTORCH_BUILD_VERSION", "2.2.0a0"): Class.AMBIGUOUS,
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
    ("UV_INDEX", "pytorch=https://download.pytorch.org/whl/cu128"): Class.AMBIGUOUS,
    ("UV_INDEX", "https://pypi.corp/simple"): Class.OTHER,
    ("UV_TORCH_BACKEND", "cu128"): Class.AMBIGUOUS,
    ("PYTORCH_ALLOC_CONF", "expandable_segments:True"): Class.AMBIGUOUS,
    ("VLLM_USAGE_SOURCE", "production-docker-image"): Class.PYTORCH,
    ("VLLM_USAGE_SOURCE", "corp"): Class.AMBIGUOUS,
    ("VLLM_TARGET_DEVICE", "xpu"): Class.AMBIGUOUS,
    ("VLLM_ENDPOINT", "http://llm:8000"): Class.OTHER,
    ("R8_TORCH_VERSION", "2.7.0"): Class.AMBIGUOUS,
    ("TORCH_HOME", "/cache"): Class.OTHER,
}


@pytest.mark.parametrize(("name", "value"), ENV)
def test_a_variable_alone_has_this_strength(name: str, value: str) -> None:
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
    ("framework", "pytorch"): Class.OTHER,
    ("run.cog.pip_freeze", "numpy==2.1.0\ntorch==2.7.1+cu128\ntorchvision==0.22.1\n"): Class.PYTORCH,
    ("run.cog.pip_freeze", "numpy==2.1.0\ntorchmetrics==1.0\n"): Class.OTHER,
    ("name", "odh-notebook-jupyter-pytorch-ubi9-python-3.9"): Class.AMBIGUOUS,
    ("name", "odh-notebook-jupyter-datascience-ubi9-python-3.9"): Class.OTHER,
    ("org.opencontainers.image.title", "corp-pytorch-tools"): Class.AMBIGUOUS,
}


@pytest.mark.parametrize(("name", "value"), LABELS)
def test_a_label_alone_has_this_strength(name: str, value: str) -> None:
    assert verdict(make_image("corp/tool:1", labels={name: value})).kind is LABELS[name, value]


def test_the_label_of_aws_needs_its_other_one() -> None:
    labels = {"framework": "pytorch", "dlc_major_version": "1"}
    assert verdict(make_image("corp/tool:1", labels=labels)).kind is Class.PYTORCH
    assert verdict(make_image("corp/tool:1", labels={**labels, "framework": "tensorflow"})).kind is Class.OTHER


def test_the_output_of_pip_freeze_gives_torchs_version() -> None:
    frozen = "numpy==2.1.0\ntorch==2.7.1+cu128\n"
    assert verdict(make_image("corp/model:1", labels={"run.cog.pip_freeze": frozen})).torch_version == "2.7.1"


def test_the_output_of_pip_freeze_is_read_although_it_is_long() -> None:
    frozen = "".join(f"package-{number}==1.0\n" for number in range(500)) + "torch==2.7.1\n"
    assert verdict(make_image("corp/model:1", labels={"run.cog.pip_freeze": frozen})).kind is Class.PYTORCH


ENTRYPOINTS = {
    ("vllm", "serve"): Class.AMBIGUOUS,
    ("python3", "-m", "vllm.entrypoints.openai.api_server"): Class.AMBIGUOUS,
    ("/opt/venv/bin/text-generation-launcher",): Class.AMBIGUOUS,
    ("/opt/nvidia/nvidia_entrypoint.sh", "python3", "-m", "sglang.launch_server"): Class.AMBIGUOUS,
    ("/bin/sh", "-c", "exec vllm serve $MODEL"): Class.AMBIGUOUS,
    ("vllm-router",): Class.OTHER,
    ("python3", "-m", "sglang_router.launch_router"): Class.OTHER,
    ("aphrodite", "run"): Class.AMBIGUOUS,
    ("python3", "-m", "huggingfaceserver"): Class.AMBIGUOUS,
    ("python3", "main.py"): Class.OTHER,
}


@pytest.mark.parametrize("words", ENTRYPOINTS)
def test_an_entrypoint_alone_has_this_strength(words: tuple[str, ...]) -> None:
    assert verdict(make_image("corp/tool:1", entrypoint=words, command=())).kind is ENTRYPOINTS[words]


def test_a_build_argument_and_the_gpus_it_builds_for_have_one_cause() -> None:
    history = ("RUN |1 TORCH_VERSION=2.9.0 /bin/sh -c curl -O libtorch-${TORCH_VERSION}.zip # buildkit",)
    image = make_image("corp/app:1", env={"TORCH_CUDA_ARCH_LIST": "8.0"}, history=history)
    assert verdict(image).kind is Class.AMBIGUOUS


def test_a_backend_in_env_and_on_the_command_line_have_one_cause() -> None:
    history = ("RUN /bin/sh -c uv pip install --system --torch-backend=cpu numpy # buildkit",)
    image = make_image("corp/app:1", env={"UV_TORCH_BACKEND": "cpu"}, history=history)
    assert verdict(image).kind is Class.AMBIGUOUS
