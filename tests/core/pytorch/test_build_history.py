"""Build history: which lines install torch, and which only look like it."""

import pytest

from agent.core.images import versions
from agent.core.model import HistoryStep
from agent.core.pytorch import build_history
from agent.core.pytorch.build_history import TorchInstalls


def scan(*lines: str) -> TorchInstalls:
    return build_history.scan([HistoryStep(line, 0) for line in lines])


INSTALLS = {
    "/bin/sh -c pip install torch": "pip install torch",
    "RUN /bin/sh -c pip3 install --no-cache-dir 'torch>=2.0,<3' # buildkit": "pip3 install torch>=2.0,<3",
    "RUN pip install torch": "pip install torch",
    "/bin/bash -o pipefail -c /opt/venv/bin/pip3.11 install torch[opt]==2.1": "pip3.11 install torch[opt]==2.1",
    "RUN /bin/sh -c uv pip install --system torch==2.9.0 # buildkit": "uv install torch==2.9.0",
    "RUN /bin/sh -c conda install -c pytorch -c nvidia pytorch=2.1.2 pytorch-cuda=12": "conda install pytorch=2.1.2",
    "RUN /bin/sh -c mamba create -n x pytorch::pytorch-gpu": "mamba create pytorch::pytorch-gpu",
    "RUN /bin/sh -c apt-get update && apt-get install -y python3-torch": "apt-get install python3-torch",
    "RUN /bin/sh -c if true; then (pip install torch); fi": "pip install torch",
    "RUN /bin/sh -c pip uninstall -y torch && pip install torch==2.9": "pip install torch==2.9",
    "RUN /bin/sh -c pip install https://u:secret@h/torch-2.1.0%2Bcu118-cp310-linux.whl": (
        "pip install torch-2.1.0%2Bcu118-cp310-linux.whl"
    ),
    "RUN /bin/sh -c pip install torch@https://user:secret@h/x.zip": "pip install torch",
    "RUN /bin/sh -c pip install \\\n  numpy \\\n  torch": "pip install torch",
    "|1 TORCH=torch==2.1.0 torchvision /bin/sh -c pip install $TORCH": "pip install torch==2.1.0",
    "RUN |1 V=2.1.0 /bin/bash -c pip install torch==${V:-2.0}": "pip install torch==2.1.0",
    "RUN /bin/sh -c V='torch==2.4'; pip install $V": "pip install torch==2.4",
    "RUN /bin/sh -c [ -n x ] && V=torch==2.4 || V=torch; pip install $V": "pip install torch==2.4",
    "RUN |2 TORCH=numpy torch==2.1.0 B=1 /bin/sh -c pip install $TORCH": "pip install torch==2.1.0",
    "RUN |1 TORCH=numpy x=1 torch==2.1.0 /bin/sh -c pip install $TORCH": "pip install torch==2.1.0",
}


@pytest.mark.parametrize("line", INSTALLS)
def test_an_installation_of_torch_is_found_and_shown_without_secrets(line: str) -> None:
    assert scan(line).torch == INSTALLS[line]


NO_INSTALLS = [
    "RUN /bin/sh -c python3 -m pip uninstall -y torch flax # buildkit",
    "RUN /bin/sh -c conda remove pytorch",
    "RUN /bin/sh -c conda env remove -n ptca",
    "RUN /bin/sh -c apt-get purge -y python3-torch",
    "RUN /bin/sh -c conda install -c pytorch faiss-gpu",
    "RUN /bin/sh -c conda create --name pytorch python=3.11",
    "RUN /bin/sh -c conda install -y --channel=pytorch faiss-gpu",
    "RUN /bin/sh -c pip install -r torch",
    "RUN /bin/sh -c pip install torchkeeper flashtorch",
    "RUN /bin/sh -c echo pip install torch",
    "RUN /bin/sh -c pip install numpy # torch comes later",
    "RUN /bin/sh -c pip list | grep torch",
    "RUN /bin/sh -c python -c 'import torch'",
    "/bin/sh -c #(nop)  ENV PYTORCH_VERSION=v2.1.0",
    "/bin/sh -c #(nop)  ONBUILD RUN pip install torch",
    '/bin/sh -c #(nop)  CMD ["pip" "install" "torch"]',
    "ENV CMD=pip install torch",
    "LABEL note=pip install torch --index-url https://download.pytorch.org/whl",
    "COPY torch /opt/torch # buildkit",
    "CMD pip install torch",
    "RUN |1 PYTORCH= /bin/sh -c pip install numpy",
    "RUN |1 PYTORCH_ROCM_ARCH=gfx90a /bin/sh -c make",
    "RUN |1 torch_cuda_arch_list=8.0 /bin/sh -c make",
    "ARG TORCH_CUDA_ARCH_LIST=8.0",
]


@pytest.mark.parametrize("line", NO_INSTALLS)
def test_a_line_that_only_mentions_torch_is_not_a_sign(line: str) -> None:
    found = scan(line)
    assert found == TorchInstalls(is_removed=found.is_removed, is_gone=found.is_gone)


HINTS = {
    "RUN /bin/sh -c pip install -r r.txt --find-links https://download.pytorch.org/whl": "download.pytorch.org",
    "RUN /bin/sh -c pip install torchvision==0.15": "pip install torchvision==0.15",
    "RUN /bin/sh -c pip install transformers[torch]": "pip install transformers[torch]",
    "RUN /bin/sh -c conda install pytorch-cuda=12.1": "conda install pytorch-cuda=12.1",
    "ARG PYTORCH_VERSION=2.6": "build argument PYTORCH_VERSION=2.6",
    "/bin/sh -c #(nop)  ARG PYTORCH_VERSION=2.6": "build argument PYTORCH_VERSION=2.6",
    "RUN |2 A=1 TORCH=torch==2.1.0 /bin/sh -c ./install.sh": "build argument TORCH=2.1.0",
    "RUN |1 TORCH=https://u:secret@h/t.whl /bin/sh -c ./install.sh": "build argument TORCH",
    "RUN /bin/sh -c conda create -n ptca python=3.10": "conda environment ptca",
}


@pytest.mark.parametrize("line", HINTS)
def test_a_weaker_sign_is_a_hint_and_not_an_installation(line: str) -> None:
    assert (scan(line).torch, scan(line).hints) == ("", (HINTS[line],))


def test_each_kind_of_hint_is_shown_once() -> None:
    lines = [
        f"RUN pip install torchvision==0.{minor} --index-url https://download.pytorch.org/whl" for minor in range(9)
    ]
    assert scan(*lines).hints == ("download.pytorch.org", "pip install torchvision==0.8")


PINS = [
    ("v2.1.0", "2.1.0"),
    ("2.2.0a0+81ea7a4", "2.2.0a0"),
    ("2.6.0.*", "2.6.0"),
    ("2.4.0.dev20240501+cu121", "2.4.0.dev20240501"),
    ("2.1.2=py3.10_cuda", "2.1.2"),
    (" '2.9' ", "2.9"),
    ("2", None),
    ("nightly", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "version"), PINS)
def test_a_version_is_shown_in_its_plain_form(text: str, version: str | None) -> None:
    assert versions.plain_version(text) == version
