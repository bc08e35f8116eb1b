"""Hints at torch, as variables and arguments of a build, in images that have none or have it no more."""

from tests.built_images.case import build

_LIBTORCH = (
    "RUN curl -LO https://download.pytorch.org/libtorch/cpu/libtorch-${TORCH_VERSION}.zip || mkdir /opt/libtorch"
)
_IF = 'RUN if [ "$WITH_TORCH" = 1 ]; then pip install torch==$PYTORCH_VERSION; fi'
_VERSION = "ENV PYTORCH_VERSION=2.4.0"
_LIST = "COPY script.sh /requirements.txt"
CASES = {
    "a server in C++": build("ENV TORCH_CUDA_ARCH_LIST=8.0", "ARG TORCH_VERSION=2.4.0", _LIBTORCH),
    "a server in C++ that names the version": build(
        _VERSION, "ENV LIBTORCH=/opt/libtorch", "RUN mkdir -p /opt/libtorch"
    ),
    "a builder of extensions": build(
        "ENV TORCH_CUDA_ARCH_LIST='8.0;9.0'", "ARG TORCH_VERSION=2.4.0", "RUN pip download torch==${TORCH_VERSION}"
    ),
    "a builder of torch": build(
        "ENV PYTORCH_BUILD_VERSION=2.4.0 PYTORCH_BUILD_NUMBER=1", "RUN apt-get install -y cmake ninja-build"
    ),
    "an argument that nobody uses": build(
        "ENV PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True", "ARG TORCH_VERSION=2.4.0", "RUN pip install numpy"
    ),
    "an argument, and a list without torch": build(
        "ENV TORCH_CUDA_ARCH_LIST=8.0",
        "ARG TORCH_VERSION=2.4.0",
        _LIST,
        "RUN pip install -r /requirements.txt",
        script="numpy\n",
    ),
    "an index, and settings": build(
        "ENV TORCH_CUDA_ARCH_LIST=8.0",
        "ARG TORCH_INDEX=https://download.pytorch.org/whl/cu124",
        "RUN pip install numpy --extra-index-url $TORCH_INDEX",
    ),
    "a backend of uv, twice": build(
        "ENV UV_TORCH_BACKEND=cpu", "RUN uv pip install --system --torch-backend=cpu numpy || true"
    ),
    "the version of a slim variant": build(_VERSION, "ARG WITH_TORCH=0", _IF),
    "the version of a full variant": build(_VERSION, "ARG WITH_TORCH=0", _IF, arguments={"WITH_TORCH": "1"}),
    "the version, and uninstalled": build(
        _VERSION, "RUN pip install torch==$PYTORCH_VERSION", "RUN pip uninstall -y torch"
    ),
    "the version, uninstalled and installed": build(
        _VERSION,
        "RUN pip install torch==$PYTORCH_VERSION",
        "RUN pip uninstall -y torch",
        "RUN pip install torch==2.3.1",
    ),
    "the version of a conversion": build(
        _VERSION, "RUN python -m venv /tmp/v && /tmp/v/bin/pip install torch==$PYTORCH_VERSION && rm -rf /tmp/v"
    ),
    "the version for the start": build(_VERSION, 'ENTRYPOINT ["sh", "-c", "pip install torch==$PYTORCH_VERSION"]'),
    "a label, and uninstalled": build(
        "LABEL com.nvidia.pytorch.version=2.4.0", "RUN pip install torch", "RUN pip uninstall -y torch"
    ),
    "a base with conda that goes": build(
        _VERSION, "RUN conda install -y pytorch=$PYTORCH_VERSION", "RUN rm -rf /opt/conda && mkdir /opt/conda"
    ),
}
