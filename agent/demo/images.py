"""The images of the demo: names, variables and layers as in real ones, with a thousandth of their size."""

import asyncio
import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.demo.docker_api import Client
from agent.demo.errors import DemoError

MB = 1_000_000  # bytes
LABEL = "torchkeeper.demo"  # its value is the run that created an image or a container
OWN_PREFIX = "torchkeeper-demo/"  # before each repository, on an engine that is not the demo's own

_PACKAGE = "opt/conda/lib/python3.11/site-packages/torch"
_TORCH = f"{_PACKAGE}/lib/libtorch_cuda.so"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoImage:
    """One image, its use, and what the demo says about it."""

    ref: str  # without OWN_PREFIX
    situation: str  # how it is used, shown when it is created
    why: str  # why it is removed or stays, also true on a real host
    evicted: bool = False  # whether the agent is expected to remove it
    size_mb: int = 20  # incompressible, in a layer of its own
    payload: str = _TORCH
    env: Mapping[str, str] = field(default_factory=dict)
    base: str = ""  # the `ref` of the image that it is built on


IDLE = DemoImage(
    ref="teamai/pytorch:2.1-cuda11.8",
    situation="no longer used",
    why="Idle for a whole TTL. Old tags like this one are what fills GPU hosts.",
    evicted=True,
    size_mb=31,
    env={"PYTORCH_VERSION": "2.1.0", "CUDA_VERSION": "11.8.0"},
)
USED = DemoImage(
    ref="teamai/pytorch:2.4-cuda12.1",
    situation="idle, then used for one second by `docker run --rm`",
    why="One short run restarted its TTL, so it was removed later than 2.1-cuda11.8.",
    evicted=True,
    size_mb=38,
    env={"PYTORCH_VERSION": "2.4.1", "CUDA_VERSION": "12.1.1"},
)
BASE = DemoImage(
    ref="nvcr.io/nvidia/pytorch:24.01-py3",
    situation="idle, the base of the next one",
    why="The image built on it is gone; while that existed, removing this one would have freed nothing.",
    evicted=True,
    size_mb=44,
    env={"NVIDIA_PYTORCH_VERSION": "24.01", "PYTORCH_VERSION": "2.2.0a0+81ea7a4", "CUDA_VERSION": "12.3.2"},
)
DERIVED = DemoImage(
    ref="vision/detector:v3",
    situation="idle, built FROM the one above",
    why="Its name does not say PyTorch; it is recognised by what it inherits from its base.",
    evicted=True,
    size_mb=6,
    payload="opt/detector/weights.bin",
    base=BASE.ref,
)
TRAINING = DemoImage(
    ref="teamai/pytorch:2.5-cuda12.4",
    situation="a training job runs in it",
    why="A container uses it. A job of three weeks has one start event, so age alone would evict it.",
    size_mb=42,
    env={"PYTORCH_VERSION": "2.5.1", "CUDA_VERSION": "12.4.1"},
)
PINNED = DemoImage(
    ref="pytorch/pytorch:2.2.0-cuda12.1-cudnn8-runtime",
    situation="idle, but pinned by a person",
    why="A person pinned it, with a reason that everybody can see; no dummy container is needed.",
    size_mb=28,
    env={"PYTORCH_VERSION": "2.2.0", "CUDA_VERSION": "12.1.1"},
)
LATEST = DemoImage(
    ref="teamai/pytorch:latest",
    situation="idle, with a tag that the policy protects",
    why="policy.protect contains *:latest, the tag that scripts use by default.",
    size_mb=24,
    env={"PYTORCH_VERSION": "2.6.0", "CUDA_VERSION": "12.4.1"},
)
POSTGRES = DemoImage(
    ref="postgres:16",
    situation="idle, and not a PyTorch image",
    why="No sign of PyTorch, so it is never removed, however long it is idle.",
    size_mb=9,
    payload="usr/lib/postgresql/16/bin/postgres",
    env={"PG_MAJOR": "16", "PGDATA": "/var/lib/postgresql/data"},
)
OLLAMA = DemoImage(
    ref="ollama/ollama:0.5.4",
    situation="idle, uses a GPU, and not a PyTorch image",
    why="NVIDIA variables show that it uses a GPU, not that it contains PyTorch.",
    size_mb=14,
    payload="usr/lib/ollama/cuda_v12/libggml-cuda.so",
    env={"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility", "OLLAMA_HOST": "0.0.0.0"},  # noqa: S104 - as in the real image
)
IMAGES = (IDLE, USED, BASE, DERIVED, TRAINING, PINNED, LATEST, POSTGRES, OLLAMA)


def find_busybox() -> Path:
    """A statically linked busybox, which runs in an image without libraries. Raises DemoError."""
    program = shutil.which("busybox")
    if program is None:
        raise DemoError("the demo's images need busybox, which is not installed: apt-get install busybox-static")
    path = Path(program).resolve()
    with path.open("rb") as stream:
        head = stream.read(4096)  # the name of the dynamic loader is right behind the program headers
    if b"/ld-" in head:
        raise DemoError(f"{path} needs libraries that the demo's images do not have: apt-get install busybox-static")
    return path


async def make(client: Client, image: DemoImage, prefix: str, run_id: str, busybox: Path) -> str:
    """Create one image on the engine, with a label of the run. Returns its ID."""
    if image.base:
        return await client.build(prefix + image.ref, await asyncio.to_thread(_context, image, prefix))
    tar = await asyncio.to_thread(_root_file_system, image, busybox)
    env = (f"ENV {name}={json.dumps(value)}" for name, value in image.env.items())
    changes = [*env, f"LABEL {LABEL}={run_id}", 'CMD ["/bin/busybox", "true"]']
    return await client.import_image(prefix + image.ref, tar, changes)


def _root_file_system(image: DemoImage, busybox: Path) -> bytes:
    torch = [(f"{_PACKAGE}/version.py", _version_file(image), 0o644)] if image.payload == _TORCH else []
    return _tar(("bin/busybox", busybox.read_bytes(), 0o755), (image.payload, _payload(image), 0o644), *torch)


def _version_file(image: DemoImage) -> bytes:
    """The version file that torch's own build writes; without it, the image would not count as PyTorch."""
    cuda = ".".join(image.env["CUDA_VERSION"].split(".")[:2])
    return f"__version__ = {image.env['PYTORCH_VERSION']!r}\ncuda = {cuda!r}\ngit_version = ''\nhip = None\n".encode()


def _context(image: DemoImage, prefix: str) -> bytes:
    dockerfile = f"FROM {prefix}{image.base}\nCOPY payload /{image.payload}\n"
    return _tar(("Dockerfile", dockerfile.encode(), 0o644), ("payload", _payload(image), 0o644))


def _payload(image: DemoImage) -> bytes:
    """Random bytes, which cannot be compressed: then removing the image frees its full size."""
    return os.urandom(image.size_mb * MB)


def _tar(*entries: tuple[str, bytes, int]) -> bytes:
    """A tar of (path, content, mode)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, content, mode in entries:
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()
