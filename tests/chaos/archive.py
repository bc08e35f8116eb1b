"""Many small images at once: what `docker save` would write, made of one busybox, for `docker load` to read."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Sequence

from tests.chaos import api

BASE = "base.tar"


def make(images: Iterable[tuple[Sequence[str], bool]]) -> bytes:
    """A tar of images, each given as its names and whether it has a layer of its own above the common one."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        files, manifest = {BASE: api.tiny_tar()}, []
        for names, own in images:
            layers = [BASE, _own_layer(files, names[0])] if own else [BASE]
            manifest.append({"Config": _config(files, names[0], layers), "RepoTags": [*names], "Layers": layers})
        for name, data in [*files.items(), ("manifest.json", json.dumps(manifest).encode())]:
            _add(tar, name, data)
    return out.getvalue()


def _config(files: dict[str, bytes], label: str, layers: Sequence[str]) -> str:
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["true"], "Labels": {"name": label}},  # the label makes each image its own
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(files[layer])}" for layer in layers]},
        "history": [{"created_by": "made for a test"} for _ in layers],
    }
    data = json.dumps(config).encode()
    name = f"{_digest(data)}.json"
    files[name] = data
    return name


def _own_layer(files: dict[str, bytes], text: str) -> str:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        _add(tar, "payload", text.encode())
    name = f"{_digest(text.encode())}.tar"
    files[name] = out.getvalue()
    return name


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
