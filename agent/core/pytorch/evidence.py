"""What speaks for an image being a PyTorch image: signs, by family and strength."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent.core import model, tags
from agent.core.pytorch import build_history

# Exact repositories, in the familiar form. All that they publish contains torch.
_WELL_KNOWN = frozenset(
    {
        "pytorch/pytorch",
        "pytorch/torchserve",
        "ghcr.io/pytorch/pytorch-nightly",
        "nvcr.io/nvidia/pytorch",
        "rocm/pytorch",
        "rocm/pytorch-nightly",
        "rocm/pytorch-training",
        "public.ecr.aws/deep-learning-containers/pytorch-training",
        "public.ecr.aws/deep-learning-containers/pytorch-inference",
        "gcr.io/deeplearning-platform-release/pytorch-gpu",
        "gcr.io/deeplearning-platform-release/pytorch-cpu",
        "huggingface/transformers-pytorch-gpu",
        "huggingface/transformers-pytorch-deepspeed-latest-gpu",
        "ghcr.io/huggingface/text-generation-inference",
        "vllm/vllm-openai",
        "lmsysorg/sglang",
        "pytorchlightning/pytorch_lightning",
        "ultralytics/ultralytics",
        "runpod/pytorch",
        "quay.io/jupyter/pytorch-notebook",
        "jupyter/pytorch-notebook",
        "kubeflownotebookswg/jupyter-pytorch",
        "kubeflownotebookswg/jupyter-pytorch-full",
        "kubeflownotebookswg/jupyter-pytorch-cuda",
        "kubeflownotebookswg/jupyter-pytorch-cuda-full",
        "intel/intel-optimized-pytorch",
        "intel/intel-extension-for-pytorch",
    }
)
_KNOWN_PREFIX = re.compile(
    r"mcr\.microsoft\.com/(?:aifx/acpt/|azureml/curated/acpt-pytorch-)"
    r"|763104351884\.dkr\.ecr\.[a-z0-9-]{1,30}\.amazonaws\.com/(?:huggingface-)?pytorch-"
)
# Names with torch in them that contain none: a Go program, a compiler, and torchkeeper itself.
_LOOKALIKE = re.compile(r"(?:^|/)(?:pytorch-operator$|pytorch/llvm$|torchkeeper(?:$|[/-]))")

_STRONG, _MEDIUM, _WEAK = model.Strength.STRONG, model.Strength.MEDIUM, model.Strength.WEAK
_STRONGEST_FIRST = tuple(model.Strength)
_SAID_NOTHING = frozenset({"none", "null", "false", "0"})

# Variable -> (strength, how its value must begin, in lower case). TORCH_HOME is not here: it names a cache.
_VARIABLES = {
    "NVIDIA_PYTORCH_VERSION": (_STRONG, ""),
    "PYTORCH_BUILD_VERSION": (_STRONG, ""),
    "NVIDIA_PRODUCT_NAME": (_STRONG, "pytorch"),
    "PYTORCH_VERSION": (_STRONG, ""),
    "PYTORCH_HOME": (_MEDIUM, ""),
    "TORCH_CUDA_ARCH_LIST": (_MEDIUM, ""),
    "TORCH_NVCC_FLAGS": (_MEDIUM, ""),
    "PYTORCH_ROCM_ARCH": (_MEDIUM, ""),  # bases for ROCm set it and never install torch
    "HOROVOD_WITH_PYTORCH": (_MEDIUM, ""),
    "NVTE_FRAMEWORK": (_MEDIUM, "pytorch"),
    "SAGEMAKER_TRAINING_MODULE": (_MEDIUM, "sagemaker_pytorch"),
    "VLLM_USAGE_SOURCE": (_MEDIUM, ""),
}
_PATHS = ("-packages/torch/lib", "/envs/ptca/")  # ptca: the conda environment of Azure's images
_NVIDIA_LABEL = "com.nvidia.pytorch.version"
_AWS_LABEL = "com.amazonaws.ml.engines.sagemaker.dlc.framework.pytorch."
_SERVERS = frozenset({"vllm", "sglang", "text-generation-launcher", "tgi-entrypoint.sh"})
_SERVER_MODULES = ("vllm.entrypoints.", "sglang.")
_PROGRAM_WORDS = 6  # words of entrypoint and command; what comes later are a program's arguments
_LONGEST_TEXT = 80  # characters


@dataclass(frozen=True, slots=True)
class Findings:
    """What the configuration and history of one image say: the same for as long as its ID is the same."""

    evidence: tuple[model.Evidence, ...]
    installs: build_history.Installs
    left_out: tuple[str, ...] = ()  # what was too long to read


NOTHING = Findings((), build_history.Installs())


def gather(details: model.Details) -> Findings:
    """All evidence in an image's ENV, labels, entrypoint and history, which are within `bounds`."""
    installed = build_history.scan(details.history, details.env)
    found = (
        *_of_env(details),
        *_of_labels(details),
        *_of_history(installed),
        *_of_entrypoint(details),
    )
    left_out = details.left_out if installed.is_whole else (*details.left_out, "history")
    return Findings(found, installed, tuple(dict.fromkeys(left_out)))


def sign(family: str, strength: model.Strength, text: str) -> model.Evidence:
    """Evidence with its text made fit for people: one line, printable, about 80 characters."""
    line = "".join(char if char.isprintable() else " " for char in text[: 4 * _LONGEST_TEXT])
    line = " ".join(line.split())
    return model.Evidence(family, strength, line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…")


def _said(value: str) -> str:
    """A value in lower case without quotes; "" where it says no."""
    plain = value.strip(" \"'").lower()
    return "" if plain in _SAID_NOTHING else plain


def of_names(image: model.Image) -> Iterator[model.Evidence]:
    """The strongest sign that any of the image's names gives; the first one where several are equal."""
    parsed = [tags.parse(reference) for reference in (*image.references, *image.digests)]
    named = [(tag.repository, found) for tag in parsed if (found := _of_name(tag))]
    if named:
        repository, best = min(named, key=lambda one: _STRONGEST_FIRST.index(one[1].strength))
        pulled = best.strength is _STRONG and (image.origin or "").startswith(f"{repository}@")
        # A tag can be set by hand; a digest that proves an origin comes from a registry. On the containerd store
        # every tag has a digest, and none proves anything.
        yield sign(best.family, best.strength, best.text + ", with a digest of it" if pulled else best.text)


def _of_name(tag: tags.Tag) -> model.Evidence | None:
    repository = tag.repository.lower()
    if _LOOKALIKE.search(repository):
        return None
    if repository in _WELL_KNOWN:
        return sign("repository", _STRONG, f"repository {repository}")
    if (strength := _convention(tag)) is not None:
        return sign("repository", strength, f"name {repository}:{tag.tag}, as the convention has it")
    if _KNOWN_PREFIX.match(repository) or _is_mirror(repository):
        return sign("repository", _MEDIUM, f"repository {repository}")
    if "torch" in repository or "torch" in tag.tag.lower():
        return sign("name", _WEAK, f"name {repository}:{tag.tag}" if tag.tag else f"name {repository}")
    return None


def _convention(tag: tags.Tag) -> model.Strength | None:
    """`org/pytorch:<version>-cuda<version>` is what teams are told to use; with rocm or cpu it is a hint."""
    version, accelerator = tag.version, tag.accelerator
    named = tag.repository.lower().endswith("/pytorch") and tag.scheme in ("pep440", "framework")
    if not named or version is None or accelerator is None:
        return None
    return _STRONG if accelerator.startswith("cuda") else _MEDIUM


def is_vendors(repository: str) -> bool:
    """Whether a vendor publishes it, here or behind a mirror: nobody on this host chose its name."""
    name = repository.lower()
    return name.startswith(_VENDORS) or _KNOWN_PREFIX.match(name) is not None or _is_mirror(name)


def _is_mirror(repository: str) -> bool:
    """A well-known path behind another registry or folder. Anybody can push there, so it is only medium."""
    return any(repository.endswith("/" + path) for path in _MIRRORED_PATHS)


def _without_registry(repository: str) -> str:
    registry, _, path = repository.partition("/")
    return path if "." in registry else repository


_MIRRORED_PATHS = tuple(sorted({_without_registry(repository) for repository in _WELL_KNOWN}))
_VENDORS = (
    *sorted({repository.rpartition("/")[0] + "/" for repository in _WELL_KNOWN}),
    "bitnami/",
    "mcr.microsoft.com/",
    "nvidia/",
    "us-docker.pkg.dev/deeplearning-platform-release/",
)


def _of_env(details: model.Details) -> Iterator[model.Evidence]:
    for name, (strength, begins) in _VARIABLES.items():
        value = _said(details.env.get(name, ""))
        if value and value.startswith(begins):
            yield sign("env", strength, f"ENV {name}={details.env[name]}")
    for path in _PATHS:
        named = next((name for name, value in details.env.items() if path in value), None)
        if named is not None:
            yield sign("env", _MEDIUM, f"ENV {named} has {path}")


def _of_labels(details: model.Details) -> Iterator[model.Evidence]:
    if _said(details.labels.get(_NVIDIA_LABEL, "")):
        yield sign("label", _STRONG, f"label {_NVIDIA_LABEL}={details.labels[_NVIDIA_LABEL]}")
    name = next((name for name in details.labels if name.startswith(_AWS_LABEL)), None)
    if name is not None and _said(details.labels[name]) == "true":
        yield sign("label", _STRONG, f"label {name}={details.labels[name]}")


def _of_history(installed: build_history.Installs) -> Iterator[model.Evidence]:
    """Only what was run: an ENV line in the history is the same fact as the variable itself, not a second one."""
    if installed.torch:
        yield sign("history", _STRONG, f"history: {installed.torch}")
    for hint in installed.hints:
        yield sign("history", _MEDIUM, f"history: {hint}")
    for doubt in installed.doubts:
        yield sign("history", _WEAK, f"history: {doubt}")


def _of_entrypoint(details: model.Details) -> Iterator[model.Evidence]:
    words = " ".join((*details.entrypoint, *details.command)[:_PROGRAM_WORDS])[:1000].split()
    for word in words[:_PROGRAM_WORDS]:
        if word.rpartition("/")[2] in _SERVERS or word.startswith(_SERVER_MODULES):
            yield sign("entrypoint", _MEDIUM, f"entrypoint {word}")
            return
