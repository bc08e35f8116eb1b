"""The CUDA version in a build argument counts only if it has a value and nothing names another accelerator."""

import time

import pytest

from agent.core.model import Details, HistoryStep
from agent.core.pytorch import classify, cuda_argument
from tests.core.catalogue import make_image

RUN = "RUN |{count} {arguments} /bin/sh -c apt-get update # buildkit"


def cuda(*lines: str, **env: str) -> str | None:
    return cuda_argument.accelerator(Details(history=tuple(HistoryStep(line, 0) for line in lines), env=env))


def run(arguments: str) -> str:
    return RUN.format(count=len(arguments.split()), arguments=arguments)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ARG CUDA_VERSION=12.8", "cuda12.8"),
        ("ARG PYTHON=3.12 CUDA_VERSION=12.8.1", "cuda12.8"),
        ("/bin/sh -c #(nop)  ARG CUDA_VERSION=11.8.0", "cuda11.8"),
        ("|2 A=1 CUDA_VERSION=12.8 /bin/sh -c true", "cuda12.8"),
        ("RUN |1 CUDA_VERSION='13.0' /usr/bin/bash -c true", "cuda13.0"),
        ("RUN |1 CUDA_VERSION=12 /bin/sh -c true", "cuda12"),
        ("ARG CUDA_VERSION", None),
        ("ARG CUDA_VERSION=", None),
        ("ARG CUDA_VERSION=cpu", None),
        ("ARG CUDA_VERSION=128", None),
        ("ARG GDRCOPY_CUDA_VERSION=12.8", None),
        ("RUN /bin/sh -c CUDA_VERSION=12.8 make", None),
        ("RUN |1 A=1 /bin/sh -c make CUDA_VERSION=12.8", None),
        ("RUN |1 A=1 CUDA_VERSION=12.8", None),
        ("ENV CUDA_VERSION=12.8", None),
    ],
)
def test_it_is_read_from_the_arguments_of_a_line_alone(line: str, expected: str | None) -> None:
    assert cuda(line) == expected


def test_the_last_line_that_gives_a_value_counts() -> None:
    assert cuda("ARG CUDA_VERSION=11.8", run("CUDA_VERSION=12.8"), "ARG CUDA_VERSION") == "cuda12.8"
    assert cuda("ARG CUDA_VERSION=12.8", run("CUDA_VERSION=")) is None


@pytest.mark.parametrize(
    "arguments",
    [
        "TARGETPLATFORM=linux/arm64",
        "TARGETARCH=arm64",
        "DEVICE=cpu",
        "INDEX=https://download.pytorch.org/whl/cpu",
        "TORCH=2.9.0+rocm6.4",
        "USE_CUDA=false",
        "GPU_ENABLED=0",
        "INSTALL_GPU=",
    ],
)
def test_another_argument_that_contradicts_it_makes_it_void(arguments: str) -> None:
    assert cuda(run(f"CUDA_VERSION=12.8 {arguments}")) is None


@pytest.mark.parametrize(
    "env",
    [
        {"PYTORCH_VERSION": "2.9.0+cpu"},
        {"PIP_EXTRA_INDEX_URL": "https://download.pytorch.org/whl/cpu"},
        {"UV_TORCH_BACKEND": "xpu"},
        {"LD_LIBRARY_PATH": "/opt/rocm/lib"},
        {"NVIDIA_VISIBLE_DEVICES": "void"},
    ],
)
def test_a_variable_that_contradicts_it_makes_it_void(env: dict[str, str]) -> None:
    assert cuda("ARG CUDA_VERSION=12.8", **env) is None


def test_arguments_and_variables_that_agree_do_not_matter() -> None:
    env = {"NVIDIA_VISIBLE_DEVICES": "all", "PATH": "/usr/local/cuda-12.8/bin:/bin"}
    assert cuda(run("TARGETPLATFORM=linux/amd64 CUDA_VERSION=12.8 USE_CUDA=1"), **env) == "cuda12.8"


ASKED_LAST = [
    ("pytorch/pytorch:latest", {}, "cuda12.8"),
    ("pytorch/pytorch:latest", {"CUDA_VERSION": "12.6.3"}, "cuda12.6"),
    ("pytorch/pytorch:2.9.1-cpu", {}, "cpu"),
]


@pytest.mark.parametrize(("name", "env", "expected"), ASKED_LAST)
def test_env_and_names_take_precedence(name: str, env: dict[str, str], expected: str) -> None:
    image = make_image(name, env=env, history=("ARG CUDA_VERSION=12.8",))
    assert classify.classify([image])[image.id].accelerator == expected


def test_the_wheel_index_takes_precedence() -> None:
    install = "RUN |1 CUDA_VERSION=12.8 /bin/sh -c pip install torch --index-url https://download.pytorch.org/whl/cu126"
    image = make_image("corp/app:1", history=(install,))
    assert classify.classify([image])[image.id].accelerator == "cuda12.6"


def test_a_hostile_history_costs_nearly_nothing() -> None:
    lines = [
        f"RUN |1 {'CUDA_VERSION ' * 9_000}",
        *["ARG CUDA_VERSION" + " " * 60_000] * 2,
        "|1 " + "CUDA_VERSION" * 900,
    ]
    started = time.process_time()
    assert cuda(*lines) is None
    assert time.process_time() - started < 0.05  # seconds
