"""The signs that decide a verdict, which people see first."""

import pytest

from agent.core.model import Class, Evidence, Strength, Verdict
from agent.core.pytorch import classify, deciding
from tests.core.catalogue import make_image

STRONG, MEDIUM, WEAK = Strength.STRONG, Strength.MEDIUM, Strength.WEAK
REPOSITORY = Evidence("repository", STRONG, "repository pytorch/pytorch, with a digest of it")
ENV = Evidence("env", STRONG, "ENV PYTORCH_VERSION=2.9.0")
HISTORY = Evidence("history", STRONG, "history: pip install torch==2.9")
ARCH = Evidence("env", MEDIUM, "ENV TORCH_CUDA_ARCH_LIST=8.0")
FLAGS = Evidence("env", MEDIUM, "ENV TORCH_NVCC_FLAGS=-x")
ENTRY = Evidence("entrypoint", MEDIUM, "entrypoint vllm")
NAME = Evidence("name", WEAK, "name corp/torch-app:1")


def verdict(*evidence: Evidence, kind: Class = Class.PYTORCH) -> Verdict:
    return Verdict(kind=kind, evidence=evidence)


DECIDING = [
    ("a name alone", verdict(REPOSITORY), "named pytorch/pytorch"),
    ("a history", verdict(NAME, HISTORY, ARCH), "history: pip install torch==2.9"),
    ("what an image itself says before its name", verdict(REPOSITORY, HISTORY, ENV), "ENV PYTORCH_VERSION=2.9.0"),
    ("two medium signs of different kinds", verdict(ARCH, FLAGS, ENTRY),
     "ENV TORCH_CUDA_ARCH_LIST=8.0 and entrypoint vllm"),
    ("two medium signs beside a weak one", verdict(NAME, ENTRY, ARCH),
     "entrypoint vllm and ENV TORCH_CUDA_ARCH_LIST=8.0"),
    ("the strongest of an ambiguous one", verdict(NAME, ARCH, kind=Class.AMBIGUOUS), "ENV TORCH_CUDA_ARCH_LIST=8.0"),
    ("a weak one", verdict(NAME, kind=Class.AMBIGUOUS), "named corp/torch-app:1"),
    ("nothing", verdict(kind=Class.OTHER), ""),
]  # fmt: skip


@pytest.mark.parametrize(("what", "given", "expected"), DECIDING, ids=[case[0] for case in DECIDING])
def test_a_verdict_is_decided_by(what: str, given: Verdict, expected: str) -> None:
    assert deciding.phrase(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (verdict(HISTORY), True),
        (verdict(REPOSITORY), True),
        (verdict(REPOSITORY, ENV), False),
        (verdict(NAME, ENV), False),
        (verdict(ARCH, ENTRY), False),
        (verdict(HISTORY, kind=Class.AMBIGUOUS), False),
        (verdict(Evidence("known", STRONG, "listed in images.known")), False),
        (verdict(kind=Class.OTHER), False),
    ],
)
def test_a_single_sign_is_the_only_sign(given: Verdict, expected: bool) -> None:
    assert deciding.single(given) is expected


def test_the_signs_of_a_real_image_are_those_of_its_verdict() -> None:
    image = make_image("corp/app:1", history=("RUN pip install torch==2.9.0",))
    found = classify.classify([image])[image.id]
    assert deciding.deciding(found) == found.evidence
    assert deciding.phrase(found) == "history: pip install torch==2.9.0"
