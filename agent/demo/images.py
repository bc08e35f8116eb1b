"""The cast: images with the names, variables and layers of real ones, a thousandth of their size."""

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
LABEL = "torchkeeper.demo"  # names the run that made an image or a container
OWN_PREFIX = "torchkeeper-demo/"  # before every repository on an engine that is not the demo's

_PACKAGE = "opt/conda/lib/python3.11/site-packages/torch"
_TORCH = f"{_PACKAGE}/lib/libtorch_cuda.so"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoImage:
    """One image and its part in the story."""

    ref: str  # without OWN_PREFIX
    part: str  # what happens to it, as the cast list tells it
    why: str  # why it goes or stays, in one sentence that holds for a real host
    goes: bool = False
    size_mb: int = 20  # incompressible, in a layer of its own
    payload: str = _TORCH
    env: Mapping[str, str] = field(default_factory=dict)
    base: str = ""  # the ref that it is built on


IDLE = DemoImage(
    ref="teamai/pytorch:2.1-cuda11.8",
    part="nobody uses it any more",
    why="Idle for a whole TTL. This is what fills GPU hosts: the tag before the tag before.",
    goes=True,
    size_mb=31,
    env={"PYTORCH_VERSION": "2.1.0", "CUDA_VERSION": "11.8.0"},
)
USED = DemoImage(
    ref="teamai/pytorch:2.4-cuda12.1",
    part="idle, then used for one second by `docker run --rm`",
    why="One short run restarted its clock, so it outlived its sibling by as much.",
    goes=True,
    size_mb=38,
    env={"PYTORCH_VERSION": "2.4.1", "CUDA_VERSION": "12.1.1"},
)
BASE = DemoImage(
    ref="nvcr.io/nvidia/pytorch:24.01-py3",
    part="idle, the base of the next one",
    why="Its last child is gone, so now its layers free disk; before, they would have freed nothing.",
    goes=True,
    size_mb=44,
    env={"NVIDIA_PYTORCH_VERSION": "24.01", "PYTORCH_VERSION": "2.2.0a0+81ea7a4", "CUDA_VERSION": "12.3.2"},
)
DERIVED = DemoImage(
    ref="vision/detector:v3",
    part="idle, built FROM the one above",
    why="Not named after PyTorch, yet known as such by what it inherits; it shares its base's layers.",
    goes=True,
    size_mb=6,
    payload="opt/detector/weights.bin",
    base=BASE.ref,
)
TRAINING = DemoImage(
    ref="teamai/pytorch:2.5-cuda12.4",
    part="a training job runs in it",
    why="A container holds it. A job of three weeks is one start event, so age alone would kill it.",
    size_mb=42,
    env={"PYTORCH_VERSION": "2.5.1", "CUDA_VERSION": "12.4.1"},
)
PINNED = DemoImage(
    ref="pytorch/pytorch:2.2.0-cuda12.1-cudnn8-runtime",
    part="idle, but pinned by a person",
    why="A person said so, with a reason that everybody sees; no dummy container is needed.",
    size_mb=28,
    env={"PYTORCH_VERSION": "2.2.0", "CUDA_VERSION": "12.1.1"},
)
LATEST = DemoImage(
    ref="teamai/pytorch:latest",
    part="idle, with a tag that the policy protects",
    why="policy.protect names *:latest: the tag that scripts take without asking.",
    size_mb=24,
    env={"PYTORCH_VERSION": "2.6.0", "CUDA_VERSION": "12.4.1"},
)
POSTGRES = DemoImage(
    ref="postgres:16",
    part="idle, and no PyTorch image",
    why="No sign of PyTorch. No code path leads from here to a removal, however idle it is.",
    size_mb=9,
    payload="usr/lib/postgresql/16/bin/postgres",
    env={"PG_MAJOR": "16", "PGDATA": "/var/lib/postgresql/data"},
)
OLLAMA = DemoImage(
    ref="ollama/ollama:0.5.4",
    part="idle, needs a GPU, and no PyTorch image",
    why="NVIDIA variables prove a GPU, not PyTorch.",
    size_mb=14,
    payload="usr/lib/ollama/cuda_v12/libggml-cuda.so",
    env={"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility", "OLLAMA_HOST": "0.0.0.0"},  # noqa: S104 - as in the real image
)
IMAGES = (IDLE, USED, BASE, DERIVED, TRAINING, PINNED, LATEST, POSTGRES, OLLAMA)


def find_busybox() -> Path:
    """A busybox that needs no library, so that it runs alone in an image. Raises Trouble."""
    found = shutil.which("busybox")
    if found is None:
        raise DemoError("no busybox here, which the demo's images are made of: apt-get install busybox-static")
    path = Path(found).resolve()
    with path.open("rb") as stream:
        head = stream.read(4096)  # the name of the dynamic loader stands right behind the program headers
    if b"/ld-" in head:
        raise DemoError(f"{path} needs libraries that the demo's images lack: apt-get install busybox-static")
    return path


async def make(client: Client, role: DemoImage, prefix: str, run_id: str, busybox: Path) -> str:
    """Make one image on the engine, labelled with the run; its ID."""
    if role.base:
        return await client.build(prefix + role.ref, await asyncio.to_thread(_context, role, prefix))
    tar = await asyncio.to_thread(_root_file_system, role, busybox)
    env = (f"ENV {name}={json.dumps(value)}" for name, value in role.env.items())
    changes = [*env, f"LABEL {LABEL}={run_id}", 'CMD ["/bin/busybox", "true"]']
    return await client.import_image(prefix + role.ref, tar, changes)


def _root_file_system(role: DemoImage, busybox: Path) -> bytes:
    torch = [(f"{_PACKAGE}/version.py", _version_file(role), 0o644)] if role.payload == _TORCH else []
    return _tar(("bin/busybox", busybox.read_bytes(), 0o755), (role.payload, _payload(role), 0o644), *torch)


def _version_file(role: DemoImage) -> bytes:
    """What torch's own build writes, without which the agent would not take the image for a PyTorch image."""
    cuda = ".".join(role.env["CUDA_VERSION"].split(".")[:2])
    return f"__version__ = {role.env['PYTORCH_VERSION']!r}\ncuda = {cuda!r}\ngit_version = ''\nhip = None\n".encode()


def _context(role: DemoImage, prefix: str) -> bytes:
    dockerfile = f"FROM {prefix}{role.base}\nCOPY payload /{role.payload}\n"
    return _tar(("Dockerfile", dockerfile.encode(), 0o644), ("payload", _payload(role), 0o644))


def _payload(role: DemoImage) -> bytes:
    """Nothing can compress it, so that the bytes which it frees are the bytes of its size."""
    return os.urandom(role.size_mb * MB)


def _tar(*entries: tuple[str, bytes, int]) -> bytes:
    """A tar of (path, content, mode)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, content, mode in entries:
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()
