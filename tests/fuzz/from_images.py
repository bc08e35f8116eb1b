"""What an image says of itself, and what it is called."""

import contextlib
from collections.abc import Mapping

from agent.core import globs, text
from agent.core.images import tags
from agent.core.images.references import familiar
from agent.core.lint import linter
from agent.core.lint import names as read_names
from agent.core.model import Class, Details, HistoryStep, Image, Verdict
from agent.core.policy import rules
from agent.core.policy.decision import Reason
from agent.core.pytorch import bounds, build_history, classify
from agent.core.pytorch.shell import parse as shell_parse
from agent.core.pytorch.shell.words import UnreadableError
from tests.core.builders import decide, image_id, pytorch_image

NAMES = (
    b"team/pytorch:2.9-cuda12.6",
    b"registry.corp:5000/team/torch-gpu_nvidia:latest",
    b"docker.io/library/pytorch@sha256:" + b"a" * 64,
    b"nvcr.io/nvidia/pytorch:24.01-py3\nteam/a:1.2.3rc1-cu118",
)
TAGS = (
    b"2.9.0-cuda12.6-cudnn9-devel",
    b"24.01-py3",
    b"pytorch-2.3.1-gpu-py311-cu121-ubuntu20.04-ec2",
    b"torch280",
    b"v1",
)
ENV = (
    b"PYTORCH_VERSION=2.9.0\0CUDA_VERSION=12.6.3",
    b"PYTORCH_VERSION=2.9.0+cu118\0ROCM_PATH=/opt/rocm-6.1",
    b"LD_LIBRARY_PATH=/usr/lib/python3/dist-packages/torch/lib\0NVIDIA_PRODUCT_NAME=PyTorch",
)
LABELS = (
    b"torchkeeper.ttl=30d\0torchkeeper.keep=true",
    b"torchkeeper.ttl=999999999w",
    b"com.nvidia.pytorch.version=2.2\0com.amazonaws.ml.engines.sagemaker.dlc.framework.pytorch.2=true",
)
HISTORY = (
    b"RUN /bin/sh -c pip install --no-cache-dir 'torch>=2.0,<3' # buildkit",
    b"|2 TORCH=torch==2.1.0 torchvision A=1 /bin/sh -c pip install $TORCH --index-url https://download.pytorch.org/whl/cu118",
    b"RUN A=keeper; conda remove pytorch && pip install torch${A:-x} || conda create -n ptca\nARG PYTORCH_VERSION=2.6",
)
PROGRAMS = (
    b'if [ "$A" = b ] && ! test -z $A; then pip install torch==2.9; elif false; then :; else exit 1; fi',
    b"case ${A%b} in a|[0-9]*) (pip install torch) ;; *) { uv pip install torch; } & ;; esac || true",
    b'for i in a "$A"; do f() { pip install $i; }; f torch && break; done; until x; do y | z; done',
    b"cat <<'E' > /x; bash -c 'pip install torch' && . /v/bin/activate\npip install torch\nE\nrm -rf /v ${A:-/t} $(ls)",
    b"[[ $A == b* && ( -n $A || $B =~ c ) ]] && eval 'set -e; export C=1' && trap 'pip uninstall torch' EXIT",
)
SEPARATOR = "\0"  # between variables or labels


def names(data: bytes) -> None:
    """Every name is read; what is shown of it is one printable line; what is proposed follows the convention."""
    references = tuple(_text(data).split("\n"))
    for reference in references:
        name = read_names.parse(reference)
        assert name.tag == tags.parse(reference)
        assert text.shown(reference).isprintable()
        assert len(text.shown(reference)) <= text.LONGEST_SHOWN
        proposed = read_names.suggest(name, "2.9.0", "cuda12.6")
        assert proposed is None or not read_names.missing_parts(read_names.parse(proposed))
        assert familiar(reference)
        assert globs.matches("*", reference)
    _look(Image(id=image_id("a"), references=references, origin="a@sha256:1", details=Details()))


def tag(data: bytes) -> None:
    """A tag has a version exactly where its scheme is known, and tags of one scheme can be ordered."""
    one, other = tags.parse(f"team/pytorch:{_text(data)}"), tags.parse("team/pytorch:2.9.0-cuda12.6")
    assert (one.version is None) == (one.scheme == "opaque")
    assert one.version is None or other.version is None or isinstance(one.version < other.version, bool)
    assert one.accelerator is None or one.accelerator.startswith(("cuda", "rocm", "cpu"))


def env(data: bytes) -> None:
    """Variables are evidence or none, and no value appears whole."""
    _look(_image(Details(env=_pairs(data))))


def labels(data: bytes) -> None:
    """A TTL is read or says why not; a keep label that means something keeps the image."""
    found = _image(Details(labels=_pairs(data), env={"PYTORCH_VERSION": "2.9.0"}))
    label = rules.label_ttl(found)
    assert (label.ttl is None) or not label.error
    decision = _look(found)
    if label.error:
        assert decision is Reason.LABEL_KEEP


def history(data: bytes) -> None:
    """A history says what it installs in bounded time, the same once it is within bounds."""
    steps = tuple(HistoryStep(line, 1) for line in _text(data).split("\n"))
    found = Details(history=steps)
    assert bounds.bounded(bounds.bounded(found)) == bounds.bounded(found)
    assert build_history.scan(steps).is_whole or len(data) > 100  # only what is filled in makes a short one too long
    _look(_image(found))


def shell(data: bytes) -> None:
    """A program is followed or said to be unreadable, and what stands before `false &&` alone decides."""
    text = _text(data)
    with contextlib.suppress(UnreadableError):
        shell_parse.parse(text)
    found = build_history.scan([HistoryStep(f"RUN |1 A=b /bin/sh -c {text} torch # buildkit", 1)])
    assert not (found.torch and found.doubts)
    hidden = "".join(char for char in text if char not in "'\n")
    quoted = build_history.scan([HistoryStep(f"RUN /bin/sh -c printf %s '{hidden} torch'", 1)])
    assert (quoted.torch, quoted.hints) == ("", ())


def _look(image: Image) -> Reason:
    """Judge, lint and plan it beside another one. Returns why it stays or goes."""
    other = pytorch_image("other", "team/pytorch:2.8.0-cuda12.4")
    verdicts = classify.classify([image, other])
    found = verdicts[image.id]
    assert not found.failure
    assert (found.kind is Class.OTHER) == (not found.evidence)
    assert all(len(sign.text) <= 80 and sign.text.isprintable() for sign in found.evidence)
    _lint(image, other, verdicts)
    mine, others = decide(image, other).decisions
    assert others.reason is Reason.IDLE_TTL
    assert len(mine.explanation) <= 1000
    return mine.reason


def _lint(image: Image, other: Image, verdicts: Mapping[str, Verdict]) -> None:
    for finding in linter.find([image, other], verdicts):
        assert finding.explanation.isprintable()
        assert len(finding.explanation) < 1500


def _image(details: Details) -> Image:
    return Image(id=image_id("a"), references=("team/a:1",), origin="team/a@sha256:1", details=details)


def _pairs(data: bytes) -> dict[str, str]:
    parts = (part.partition("=") for part in _text(data).split(SEPARATOR))
    return {name: value for name, _, value in parts}


def _text(data: bytes) -> str:
    """What came through the adapter: text that can be written."""
    return data.decode(errors="replace")
