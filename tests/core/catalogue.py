"""Images as they are found on GPU hosts, one builder for each kind: what inspect and history say of them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent.core import model

GB = 1_000_000_000

UBUNTU = ("ubuntu-22.04",)
CUDA = (*UBUNTU, "cuda-compat", "cuda-libs", "cuda-keys")
DEBIAN = ("debian-12",)

NVIDIA_ENV = {
    "PATH": "/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "NVIDIA_VISIBLE_DEVICES": "all",
    "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    "NVIDIA_REQUIRE_CUDA": "cuda>=12.1 brand=tesla,driver>=470",
    "LD_LIBRARY_PATH": "/usr/local/nvidia/lib:/usr/local/nvidia/lib64",
}
CUDA_LABELS = {
    "com.nvidia.volumes.needed": "nvidia_driver",
    "maintainer": "NVIDIA CORPORATION <cudatools@nvidia.com>",
    "org.opencontainers.image.ref.name": "ubuntu",
    "org.opencontainers.image.version": "22.04",
}
UBUNTU_HISTORY = (
    "/bin/sh -c #(nop)  ARG RELEASE",
    "/bin/sh -c #(nop)  LABEL org.opencontainers.image.ref.name=ubuntu",
    "/bin/sh -c #(nop) ADD file:4f2d5d0b1c6a1e9b in / ",
    '/bin/sh -c #(nop)  CMD ["/bin/bash"]',
)
CUDA_HISTORY = (
    *UBUNTU_HISTORY,
    "ENV NVARCH=x86_64",
    "ENV NVIDIA_REQUIRE_CUDA=cuda>=12.1 brand=tesla,driver>=470",
    "LABEL maintainer=NVIDIA CORPORATION <cudatools@nvidia.com>",
    "RUN |1 TARGETARCH=amd64 /bin/sh -c apt-get update && apt-get install -y --no-install-recommends gnupg2 curl"
    " && apt-get purge --autoremove -y curl && rm -rf /var/lib/apt/lists/* # buildkit",
    "ENV NVIDIA_VISIBLE_DEVICES=all",
)


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def make_image(
    *references: str,
    id: str | None = None,  # noqa: A002 - the field's own name
    env: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    history: Sequence[str] = (),
    layers: Sequence[str] = (),
    entrypoint: Sequence[str] = (),
    command: Sequence[str] = ("/bin/bash",),
    pulled: bool = True,
    size: int = 5 * GB,
) -> model.Image:
    """An image. References have tags; layers are words, made into diff IDs; `pulled` gives each repository a digest."""
    repositories = {reference.rpartition(":")[0] for reference in references}
    return model.Image(
        id=id or digest(repr((references, sorted((env or {}).items()), tuple(history), tuple(layers)))),
        references=tuple(sorted(references)),
        digests=tuple(sorted(f"{name}@{digest(name)}" for name in repositories)) if pulled else (),
        size_bytes=size,
        details=model.Details(
            layers=tuple(digest(layer) for layer in layers),
            env=dict(env or {}),
            labels=dict(labels or {}),
            entrypoint=tuple(entrypoint),
            command=tuple(command),
            history=tuple(model.HistoryStep(line, 0) for line in history),
        ),
    )


def renamed(image: model.Image, *references: str) -> model.Image:
    """The same image under other names, which nothing proves: as after `docker tag`, or untagged."""
    return replace(image, references=tuple(sorted(references)), digests=())


def derived(
    base: model.Image,
    *references: str,
    env: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    history: Sequence[str] = ("COPY train.py /workspace/train.py # buildkit",),
    layers: Sequence[str] = ("train.py",),
) -> model.Image:
    """What `FROM base` builds: everything is inherited, and the new lines and layers stand on top."""
    assert base.details is not None
    steps = tuple(model.HistoryStep(line, 0) for line in history)
    details = replace(
        base.details,
        layers=base.details.layers + tuple(digest(layer) for layer in layers),
        env={**base.details.env, **(env or {})},
        labels={**base.details.labels, **(labels or {})},
        history=base.details.history + steps,
    )
    return replace(
        base,
        id=digest(repr((base.id, references, tuple(history), tuple(layers)))),
        references=tuple(sorted(references)),
        digests=(),
        size_bytes=base.size_bytes + 270_000_000,
        details=details,
    )


# PyTorch images.


def pytorch_runtime(version: str = "2.9.0", cuda: str = "12.8", cudnn: str = "9") -> model.Image:
    return make_image(
        f"pytorch/pytorch:{version}-cuda{cuda}-cudnn{cudnn}-runtime",
        env={**NVIDIA_ENV, "PATH": "/opt/conda/bin:/usr/bin:/bin", "PYTORCH_VERSION": version},
        labels={"com.nvidia.volumes.needed": "nvidia_driver", "org.opencontainers.image.version": "22.04"},
        history=(
            *UBUNTU_HISTORY,
            "RUN |2 PYTHON_VERSION=3.11 TARGETPLATFORM=linux/amd64 /bin/sh -c apt-get update && apt-get install -y"
            " --no-install-recommends ca-certificates libjpeg-dev libpng-dev && rm -rf /var/lib/apt/lists/* # buildkit",
            "COPY /opt/conda /opt/conda # buildkit",
            f"ENV PYTORCH_VERSION={version}",
            "WORKDIR /workspace",
        ),
        layers=(*UBUNTU, f"apt-{version}", f"conda-{version}-{cuda}"),
        size=3_470_000_000,
    )


def pytorch_nightly_devel() -> model.Image:
    return make_image(
        "ghcr.io/pytorch/pytorch-nightly:2.4.0.dev20240501-cuda12.1-cudnn8-devel",
        env={**NVIDIA_ENV, "CUDA_VERSION": "12.1.1", "PYTORCH_VERSION": "2.4.0.dev20240501"},
        labels=CUDA_LABELS,
        history=(*CUDA_HISTORY, "COPY /opt/conda /opt/conda # buildkit", "ENV PYTORCH_VERSION=2.4.0.dev20240501"),
        layers=(*CUDA, "apt-nightly", "conda-nightly"),
        size=12 * GB,
    )


def ngc() -> model.Image:
    return make_image(
        "nvcr.io/nvidia/pytorch:24.01-py3",
        env={
            **NVIDIA_ENV,
            "CUDA_VERSION": "12.3.2.001",
            "NVIDIA_PRODUCT_NAME": "PyTorch",
            "NVIDIA_PYTORCH_VERSION": "24.01",
            "PYTORCH_VERSION": "2.2.0a0+81ea7a4",
            "PYTORCH_BUILD_VERSION": "2.2.0a0+81ea7a4",
            "PYTORCH_HOME": "/opt/pytorch/pytorch",
            "TORCH_CUDA_ARCH_LIST": "5.2 6.0 6.1 7.0 7.2 7.5 8.0 8.6 8.7 9.0+PTX",
            "LD_LIBRARY_PATH": "/usr/local/lib/python3.10/dist-packages/torch/lib:/usr/local/cuda/compat/lib",
        },
        labels={
            **CUDA_LABELS,
            "com.nvidia.pytorch.version": "2.2.0a0+81ea7a4",
            "com.nvidia.cuda.version": "9.0",
        },
        history=(
            *UBUNTU_HISTORY,
            "ENV NVIDIA_PRODUCT_NAME=PyTorch",
            "RUN |1 PYVER=3.10 /bin/sh -c cd pytorch && pip install -v --no-build-isolation . # buildkit",
        ),
        layers=(*UBUNTU, "ngc-cuda", "ngc-torch"),
        entrypoint=("/opt/nvidia/nvidia_entrypoint.sh",),
        size=20 * GB,
    )


def rocm() -> model.Image:
    return make_image(
        "rocm/pytorch:rocm6.1_ubuntu22.04_py3.10_pytorch_release_2.1.2",
        env={
            "PATH": "/opt/conda/envs/py_3.10/bin:/usr/local/bin:/usr/bin:/bin",
            "PYTORCH_ROCM_ARCH": "gfx900;gfx906;gfx908;gfx90a;gfx1030;gfx1100;gfx942",
            "ROCM_PATH": "/opt/rocm",
            "MAGMA_HOME": "/opt/rocm/magma",
        },
        history=(*UBUNTU_HISTORY, "ENV PYTORCH_ROCM_ARCH=gfx900;gfx906", "RUN /bin/sh -c bash ./install_rocm.sh"),
        layers=(*UBUNTU, "rocm", "rocm-torch"),
        size=45 * GB,
    )


def aws_training() -> model.Image:
    wheel = "https://framework-binaries.s3.us-west-2.amazonaws.com/pytorch/torch-2.3.0%2Bcu121-cp311-cp311-linux.whl"
    return make_image(
        "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.3.0-gpu-py311-cu121-ubuntu20.04-sagemaker",
        env={
            **NVIDIA_ENV,
            "CUDA_VERSION": "12.1.1",
            "TORCH_NVCC_FLAGS": "-Xfatbin -compress-all",
            "NVTE_FRAMEWORK": "pytorch",
            "SAGEMAKER_TRAINING_MODULE": "sagemaker_pytorch_container.training:main",
            "DLC_CONTAINER_TYPE": "training",
        },
        labels={
            "dlc_major_version": "1",
            "com.amazonaws.ml.engines.sagemaker.dlc.framework.pytorch.2-3-0": "true",
        },
        history=(*CUDA_HISTORY, f"RUN |1 TORCH_URL={wheel} /bin/sh -c pip install --no-cache-dir -U ${{TORCH_URL}}"),
        layers=(*CUDA, "dlc"),
        size=19 * GB,
    )


def azure_curated() -> model.Image:
    return make_image(
        "mcr.microsoft.com/azureml/curated/acpt-pytorch-2.2-cuda12.1:54",
        env={"PATH": "/opt/conda/envs/ptca/bin:/opt/conda/bin:/usr/bin", "CUDA_VERSION": "12.4.1"},
        history=(
            *CUDA_HISTORY,
            "RUN /bin/sh -c conda create -n ptca python=3.10 -y # buildkit",
            "RUN /bin/sh -c /opt/conda/envs/ptca/bin/pip install -r requirements.txt --no-cache-dir # buildkit",
        ),
        layers=(*CUDA, "acpt"),
        size=22 * GB,
    )


def azure_acpt() -> model.Image:
    return make_image(
        "mcr.microsoft.com/aifx/acpt/stable-ubuntu2204-cu126-py310-torch280:biweekly.202509.1",
        env={"CUDA_VERSION": "12.6.3"},
        history=(*CUDA_HISTORY, "RUN /bin/sh -c conda create -n ptca python=3.10 -y # buildkit"),
        layers=(*CUDA, "acpt-280"),
        size=22 * GB,
    )


_HF_ARGUMENTS = "REF=main PYTORCH=2.6.0 TORCH_VISION= TORCH_AUDIO= CUDA=cu121"
_HF_INSTALL = (
    "python3 -m pip install --no-cache-dir -U $VERSION --extra-index-url https://download.pytorch.org/whl/$CUDA"
)


def transformers_pytorch() -> model.Image:
    return make_image(
        "huggingface/transformers-pytorch-gpu:4.41.2",
        env={**NVIDIA_ENV, "CUDA_VERSION": "12.1.0"},
        labels={**CUDA_LABELS, "maintainer": "Hugging Face"},
        history=(
            *CUDA_HISTORY,
            "ARG PYTORCH=2.6.0",
            f"RUN |5 {_HF_ARGUMENTS} /bin/sh -c [ ${{#PYTORCH}} -gt 0 ] && VERSION='torch=='$PYTORCH'.*'"
            f" ||  VERSION='torch'; {_HF_INSTALL} # buildkit",
            f"RUN |5 {_HF_ARGUMENTS} /bin/sh -c python3 -m pip uninstall -y tensorflow flax # buildkit",
        ),
        layers=(*CUDA, "hf-apt", "hf-torch"),
        size=18 * GB,
    )


def text_generation_inference() -> model.Image:
    return make_image(
        "ghcr.io/huggingface/text-generation-inference:2.4.0",
        env={**NVIDIA_ENV, "HF_HOME": "/data", "PORT": "80"},
        labels=CUDA_LABELS,
        history=(*CUDA_HISTORY, "COPY /opt/conda /opt/conda # buildkit", 'ENTRYPOINT ["text-generation-launcher"]'),
        layers=(*CUDA, "tgi-conda"),
        entrypoint=("text-generation-launcher",),
        command=("--json-output",),
        size=13 * GB,
    )


def vllm() -> model.Image:
    return make_image(
        "vllm/vllm-openai:v0.9.2",
        env={**NVIDIA_ENV, "CUDA_VERSION": "12.8.1", "VLLM_USAGE_SOURCE": "production-docker-image"},
        labels=CUDA_LABELS,
        history=(
            *CUDA_HISTORY,
            "RUN |3 CUDA_VERSION=12.8.1 PYTHON_VERSION=3.12 PYTORCH_CUDA_INDEX_BASE_URL=https://download.pytorch.org/whl"
            " /bin/sh -c uv pip install --system dist/*.whl --verbose --extra-index-url"
            " ${PYTORCH_CUDA_INDEX_BASE_URL}/cu$(echo $CUDA_VERSION | cut -d. -f1,2 | tr -d '.') # buildkit",
            "ENV VLLM_USAGE_SOURCE=production-docker-image",
        ),
        layers=(*CUDA, "vllm-apt", "vllm-wheel"),
        entrypoint=("python3", "-m", "vllm.entrypoints.openai.api_server"),
        command=(),
        size=28 * GB,
    )


def sglang() -> model.Image:
    """One Dockerfile for all CUDA versions: only the first branch ran, so torch is 2.8.0."""
    return make_image(
        "lmsysorg/sglang:v0.5.3-cu129",
        env={**NVIDIA_ENV, "CUDA_VERSION": "12.9.1"},
        labels=CUDA_LABELS,
        history=(
            *CUDA_HISTORY,
            'RUN |2 BUILD_TYPE=all CUDA_VERSION=12.9.1 /bin/sh -c if [ "$CUDA_VERSION" = "12.9.1" ]; then'
            " python3 -m pip install torch==2.8.0 --extra-index-url https://download.pytorch.org/whl/cu129; else"
            " python3 -m pip install torch==2.9.0 --extra-index-url https://download.pytorch.org/whl/cu130; fi"
            " && rm -rf /root/.cache # buildkit",
        ),
        layers=(*CUDA, "sglang-torch"),
        size=26 * GB,
    )


def lightning() -> model.Image:
    return make_image(
        "pytorchlightning/pytorch_lightning:base-cuda-py3.11-torch2.6-cuda12.4.1",
        env={
            **NVIDIA_ENV,
            "CUDA_VERSION": "12.4.1",
            "TORCH_CUDA_ARCH_LIST": "7.0;7.5;8.0;8.6",
            "HOROVOD_WITH_PYTORCH": "1",
            "HOROVOD_WITHOUT_TENSORFLOW": "1",
        },
        labels=CUDA_LABELS,
        history=(
            *CUDA_HISTORY,
            "ARG PYTORCH_VERSION=2.6",
            "ENV TORCH_CUDA_ARCH_LIST=7.0;7.5;8.0;8.6",
            "RUN |2 PYTHON_VERSION=3.11 PYTORCH_VERSION=2.6 /bin/bash -o pipefail -c"
            " python ./requirements/adjust-versions.py requirements.txt ${PYTORCH_VERSION} &&"
            " pip install -r requirements/devel.txt # buildkit",
        ),
        layers=(*CUDA, "pl"),
        size=16 * GB,
    )


def ultralytics() -> model.Image:
    base = pytorch_runtime("2.8.0", "12.6")
    image = derived(
        base,
        "ultralytics/ultralytics:8.3.200",
        history=("RUN /bin/sh -c uv pip install --system -e .[export] albumentations # buildkit",),
        layers=("yolo",),
    )
    return replace(image, digests=(f"ultralytics/ultralytics@{digest('yolo')}",))


def runpod() -> model.Image:
    return make_image(
        "runpod/pytorch:2.1.0-py3.10-cuda11.8.0-devel-ubuntu22.04",
        env={**NVIDIA_ENV, "CUDA_VERSION": "11.8.0"},
        labels=CUDA_LABELS,
        history=(
            *CUDA_HISTORY,
            "RUN |2 PYTHON_VERSION=3.10 TORCH=torch==2.1.0 torchvision torchaudio --index-url"
            " https://download.pytorch.org/whl/cu118 /bin/bash -o pipefail -c"
            " pip install --upgrade --no-cache-dir ${TORCH} # buildkit",
        ),
        layers=(*CUDA, "runpod-torch"),
        size=13 * GB,
    )


JUPYTER_LABELS = {"maintainer": "Jupyter Project <jupyter@googlegroups.com>"}


def jupyter_pytorch() -> model.Image:
    return make_image(
        "quay.io/jupyter/pytorch-notebook:cuda12-python-3.11",
        env={"CONDA_DIR": "/opt/conda", "NB_USER": "jovyan", "NVIDIA_VISIBLE_DEVICES": "all"},
        labels=JUPYTER_LABELS,
        history=(
            *UBUNTU_HISTORY,
            "RUN /bin/bash -o pipefail -c pip install --no-cache-dir --extra-index-url=https://pypi.nvidia.com"
            " --index-url 'https://download.pytorch.org/whl/cu128'     'torch'     'torchaudio'     'torchvision' &&"
            '     fix-permissions "${CONDA_DIR}" # buildkit',
        ),
        layers=(*UBUNTU, "jupyter", "jupyter-torch"),
    )


def kubeflow_notebook() -> model.Image:
    return make_image("kubeflownotebookswg/jupyter-pytorch-cuda-full:v1.9.2", layers=(*UBUNTU, "kf"), size=9 * GB)


def intel() -> model.Image:
    return make_image("intel/intel-optimized-pytorch:2.3.0-pip-base", layers=(*UBUNTU, "ipex"))


def google() -> model.Image:
    return make_image("gcr.io/deeplearning-platform-release/pytorch-gpu:m125", layers=(*UBUNTU, "google"))


def google_versioned() -> model.Image:
    return make_image("gcr.io/deeplearning-platform-release/pytorch-cu121.2-2.py310:m120", layers=(*UBUNTU, "g2"))


def convention() -> model.Image:
    return make_image("teamai/pytorch:2.9-cuda11.8", layers=(*UBUNTU, "team"), pulled=False)


def embeds_torch_by_pip() -> model.Image:
    """Without any known name: nothing but its history tells."""
    return make_image(
        "corp/ranker:7",
        history=(
            *UBUNTU_HISTORY,
            "RUN |3 PYTORCH=2.6.0 CUDA=cu118 X= /bin/sh -c python3 -m pip install torch==$PYTORCH"
            " --index-url https://download.pytorch.org/whl/$CUDA # buildkit",
        ),
        layers=(*UBUNTU, "ranker-torch"),
        pulled=False,
    )


def pretender() -> model.Image:
    """`FROM ubuntu` with ENV PYTORCH_VERSION: no layer is added, so it is a prefix of half the host."""
    return derived(
        ubuntu(),
        "corp/base:1",
        env={"PYTORCH_VERSION": "2.9.0"},
        history=("ENV PYTORCH_VERSION=2.9.0",),
        layers=(),
    )


# Images that may be either.


def triton() -> model.Image:
    """The variant with torch's libraries on its path; the same line stands in ENV and in the history."""
    path = "/usr/local/lib/python3.12/dist-packages/torch/lib:/opt/tritonserver/backends/onnxruntime"
    return make_image(
        "nvcr.io/nvidia/tritonserver:25.04-vllm-python-py3",
        env={**NVIDIA_ENV, "NVIDIA_PRODUCT_NAME": "Triton Server", "LD_LIBRARY_PATH": path, "CUDA_VERSION": "12.9.0"},
        labels={"com.nvidia.cuda.version": "9.0", "com.nvidia.tritonserver.version": "2.57.0"},
        history=(*CUDA_HISTORY, f"ENV LD_LIBRARY_PATH={path}", "COPY --chown=1000:1000 backends /opt/tritonserver"),
        layers=(*CUDA, "triton"),
        entrypoint=("/opt/nvidia/nvidia_entrypoint.sh",),
        size=18 * GB,
    )


def application_with_index() -> model.Image:
    return make_image(
        "corp/search-api:3.2",
        history=(
            *UBUNTU_HISTORY,
            "RUN /bin/sh -c pip install -r requirements.txt --extra-index-url https://download.pytorch.org/whl/cpu",
        ),
        layers=(*UBUNTU, "search"),
    )


def rocm_base() -> model.Image:
    """A build argument that becomes a variable, and never an installation."""
    return make_image(
        "rocm/composable_kernel:ck_ub22.04_rocm6.1",
        env={"PYTORCH_ROCM_ARCH": "gfx90a;gfx942", "ROCM_PATH": "/opt/rocm-6.1.0"},
        history=(
            *UBUNTU_HISTORY,
            "ENV PYTORCH_ROCM_ARCH=gfx90a;gfx942",
            "RUN |1 PYTORCH_ROCM_ARCH=gfx90a;gfx942 /bin/sh -c apt-get install -y rocm-dev # buildkit",
        ),
        layers=(*UBUNTU, "rocm"),
    )


def torch_in_the_name() -> model.Image:
    return make_image("corp/torchserve-dashboard:1.4", layers=(*DEBIAN, "dashboard"))


def mirrored() -> model.Image:
    return make_image("registry.corp:5000/pytorch/pytorch:latest", layers=(*UBUNTU, "mirrored"))


# Images that are something else.


def ubuntu() -> model.Image:
    return make_image("ubuntu:22.04", history=UBUNTU_HISTORY, layers=UBUNTU, size=78_000_000)


def nvidia_cuda() -> model.Image:
    return make_image(
        "nvidia/cuda:12.1.1-cudnn8-runtime-ubuntu22.04",
        env={**NVIDIA_ENV, "CUDA_VERSION": "12.1.1"},
        labels=CUDA_LABELS,
        history=CUDA_HISTORY,
        layers=CUDA,
        entrypoint=("/opt/nvidia/nvidia_entrypoint.sh",),
    )


def ollama() -> model.Image:
    return make_image(
        "ollama/ollama:0.5.4",
        env={**NVIDIA_ENV, "OLLAMA_HOST": "0.0.0.0:11434"},
        history=(*UBUNTU_HISTORY, "COPY /bin /usr/bin # buildkit", 'ENTRYPOINT ["/bin/ollama"]'),
        layers=(*UBUNTU, "ollama"),
        entrypoint=("/bin/ollama",),
        command=("serve",),
    )


def pytorch_llvm() -> model.Image:
    return make_image("pytorch/llvm:9.0.1", history=("COPY dir:a1 in /opt/llvm ",), layers=(*DEBIAN, "llvm"))


def pytorch_operator() -> model.Image:
    return make_image(
        "kubeflow/pytorch-operator:v1.0.0-g047cf0f",
        history=(
            "COPY file:9c in /pytorch-operator.v1 ",
            "RUN /bin/sh -c go build -o pytorch-operator.v1 ./cmd/pytorch-operator.v1 # buildkit",
        ),
        layers=("alpine", "operator"),
        entrypoint=("/pytorch-operator.v1", "-alsologtostderr"),
        command=(),
    )


def tensorflow() -> model.Image:
    return make_image(
        "tensorflow/tensorflow:2.16.1-gpu",
        env={**NVIDIA_ENV, "CUDA_VERSION": "12.3.0"},
        labels=CUDA_LABELS,
        history=(*CUDA_HISTORY, "RUN |1 TF_PACKAGE=tensorflow /bin/sh -c python3 -m pip install ${TF_PACKAGE}"),
        layers=(*CUDA, "tf"),
    )


def ngc_tensorflow() -> model.Image:
    return make_image(
        "nvcr.io/nvidia/tensorflow:24.01-tf2-py3",
        env={**NVIDIA_ENV, "NVIDIA_PRODUCT_NAME": "TensorFlow", "NVIDIA_TENSORFLOW_VERSION": "24.01-tf2"},
        labels={**CUDA_LABELS, "com.nvidia.tensorflow.version": "2.14.0"},
        layers=(*UBUNTU, "ngc-tf"),
    )


def aws_tensorflow() -> model.Image:
    return make_image(
        "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.14.1-gpu-py310-cu118-ubuntu20.04-ec2",
        env={"SAGEMAKER_TRAINING_MODULE": "sagemaker_tensorflow_container.training:main", "NVTE_FRAMEWORK": ""},
        labels={
            "dlc_major_version": "1",
            "com.amazonaws.ml.engines.sagemaker.dlc.framework.tensorflow.2-14-1": "true",
        },
        layers=(*CUDA, "dlc-tf"),
    )


def transformers_tensorflow() -> model.Image:
    return make_image(
        "huggingface/transformers-tensorflow-gpu:4.41.2",
        env={**NVIDIA_ENV, "CUDA_VERSION": "12.1.0"},
        labels={**CUDA_LABELS, "maintainer": "Hugging Face"},
        history=(
            *CUDA_HISTORY,
            "RUN |2 REF=main TENSORFLOW=2.13 /bin/sh -c python3 -m pip install --no-cache-dir"
            " -e ./transformers[dev-tensorflow,testing] # buildkit",
            "RUN |2 REF=main TENSORFLOW=2.13 /bin/sh -c python3 -m pip uninstall -y torch flax # buildkit",
        ),
        layers=(*CUDA, "hf-apt", "hf-tf"),
    )


def jupyter_tensorflow() -> model.Image:
    return make_image(
        "quay.io/jupyter/tensorflow-notebook:cuda-latest",
        env={"CONDA_DIR": "/opt/conda", "NVIDIA_VISIBLE_DEVICES": "all"},
        labels=JUPYTER_LABELS,
        history=(*UBUNTU_HISTORY, "RUN /bin/bash -o pipefail -c pip install --no-cache-dir tensorflow[and-cuda]"),
        layers=(*UBUNTU, "jupyter", "jupyter-tf"),
    )


def empty_version() -> model.Image:
    """An unset build argument leaves the variable behind, empty."""
    return make_image("corp/tool:2", env={"PYTORCH_VERSION": "", "TORCH_CUDA_ARCH_LIST": ""}, layers=(*DEBIAN, "tool"))


def postgres() -> model.Image:
    return make_image(
        "postgres:16",
        env={"PG_MAJOR": "16", "PGDATA": "/var/lib/postgresql/data"},
        history=(*UBUNTU_HISTORY, "RUN /bin/sh -c apt-get update && apt-get install -y postgresql-16 # buildkit"),
        layers=(*UBUNTU, "postgres"),
        entrypoint=("docker-entrypoint.sh",),
        command=("postgres",),
    )


def redis() -> model.Image:
    return make_image("redis:7.2-alpine", layers=("alpine", "redis"), command=("redis-server",))


def torchkeeper() -> model.Image:
    """The agent itself, which must never be taken for one of its own charges."""
    return make_image(
        "ghcr.io/teamai/torchkeeper:0.1.0",
        env={"TORCHKEEPER_CONFIG": "/etc/torchkeeper/torchkeeper.toml"},
        history=("RUN /bin/sh -c pip install --no-cache-dir torchkeeper # buildkit",),
        layers=(*DEBIAN, "torchkeeper"),
        entrypoint=("torchkeeper",),
        command=("run",),
    )


# Builder -> (torch version, accelerator), as the image really has them.
PYTORCH = {
    pytorch_runtime: ("2.9.0", "cuda12.8"),
    pytorch_nightly_devel: ("2.4.0.dev20240501", "cuda12.1"),
    ngc: ("2.2.0a0", "cuda12.3"),
    rocm: ("2.1.2", "rocm6.1"),
    aws_training: ("2.3.0", "cuda12.1"),
    azure_curated: (None, "cuda12.4"),
    azure_acpt: (None, "cuda12.6"),
    transformers_pytorch: ("2.6.0", "cuda12.1"),
    text_generation_inference: (None, None),
    vllm: (None, "cuda12.8"),
    sglang: ("2.8.0", "cuda12.9"),
    lightning: ("2.6", "cuda12.4"),
    ultralytics: ("2.8.0", None),
    runpod: ("2.1.0", "cuda11.8"),
    jupyter_pytorch: (None, "cuda12"),
    kubeflow_notebook: (None, None),
    intel: (None, None),
    google: (None, None),
    google_versioned: (None, None),
    convention: ("2.9", "cuda11.8"),
    embeds_torch_by_pip: ("2.6.0", "cuda11.8"),
    pretender: ("2.9.0", None),
}
AMBIGUOUS = (triton, application_with_index, rocm_base, torch_in_the_name, mirrored)
OTHER = (
    ubuntu,
    nvidia_cuda,
    ollama,
    pytorch_llvm,
    pytorch_operator,
    tensorflow,
    ngc_tensorflow,
    aws_tensorflow,
    transformers_tensorflow,
    jupyter_tensorflow,
    empty_version,
    postgres,
    redis,
    torchkeeper,
)


def everything() -> tuple[model.Image, ...]:
    """One host with all of them."""
    return tuple(build() for build in (*PYTORCH, *AMBIGUOUS, *OTHER))
