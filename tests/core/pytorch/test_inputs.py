"""A variable that is an input of a build or a start script does not show that torch is there."""

import pytest

from agent.core.model import Class, Image
from agent.core.pytorch import classify
from tests.core.catalogue import make_image

ENV = {"PYTORCH_VERSION": "2.9.0"}
CONDA = "COPY /opt/conda /opt/conda # buildkit"
OFF = 'RUN |1 WITH=0 /bin/sh -c if [ "$WITH" = 1 ]; then pip install torch==$PYTORCH_VERSION; fi # buildkit'
ON = OFF.replace("WITH=0", "WITH=1")


def kind(image: Image) -> Class:
    return classify.classify([image])[image.id].kind


def test_a_version_without_another_explanation_is_a_strong_sign() -> None:
    assert kind(make_image("corp/app:1", env=ENV, history=[CONDA])) is Class.PYTORCH


INPUTS = {
    "of a RUN line that did not install it": make_image("corp/app:1", env=ENV, history=[OFF]),
    "of a download of libtorch": make_image(
        "corp/app:1", env=ENV, history=["RUN /bin/sh -c curl -LO https://example.org/libtorch-$PYTORCH_VERSION.zip"]
    ),
    "of libtorch, whose folder is named": make_image("corp/app:1", env={**ENV, "LIBTORCH": "/opt/libtorch"}),
    "of each start": make_image("corp/app:1", env=ENV, entrypoint=["sh", "-c", "pip install torch==$PYTORCH_VERSION"]),
    "of a command": make_image("corp/app:1", env=ENV, command=["bash", "-c", "uv pip install torch && serve"]),
}


@pytest.mark.parametrize("use", INPUTS)
def test_a_version_that_is_an_input_leaves_the_image_ambiguous(use: str) -> None:
    assert kind(INPUTS[use]) is Class.AMBIGUOUS


def test_an_input_that_was_installed_is_a_strong_sign() -> None:
    assert kind(make_image("corp/app:1", env=ENV, history=[ON])) is Class.PYTORCH


def test_an_input_and_the_intent_of_a_build_have_one_cause() -> None:
    env = {**ENV, "TORCH_CUDA_ARCH_LIST": "8.0"}
    assert kind(make_image("corp/app:1", env=env, history=["ARG TORCH_VERSION=2.9.0", OFF])) is Class.AMBIGUOUS
