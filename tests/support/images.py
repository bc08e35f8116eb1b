"""Small images that look real to an engine, made from a static busybox without a registry or a network."""

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import proc, torch_file
from tests.support.dockerd import Dockerd

APPLETS = ("sh", "sleep", "true", "false", "cat", "echo", "touch", "ls")
MB = 1_000_000  # bytes


def import_image(
    engine: Dockerd,
    ref: str,
    env: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    entrypoint: Sequence[str] | None = None,
    size_mb: int = 1,
    extra_refs: Sequence[str] = (),
    cmd: Sequence[str] = ("true",),
) -> str:
    """Import an image with one unshared layer of `size_mb` random megabytes. Returns its ID.

    If its ENV or its name says that it is PyTorch, it has a `torch/version.py`.
    """
    says = (env or {}).get("PYTORCH_VERSION")
    torch = torch_file.of(ref, says) if says or "torch" in ref else b""
    changes = [
        *(f"ENV {key}={_quoted(value)}" for key, value in (env or {}).items()),
        *(f"LABEL {_quoted(key)}={_quoted(value)}" for key, value in (labels or {}).items()),
        *([f"ENTRYPOINT {json.dumps(list(entrypoint))}"] if entrypoint else []),
        f"CMD {json.dumps(list(cmd))}",
    ]
    flags = [flag for change in changes for flag in ("--change", change)]
    image = engine.docker("import", *flags, "-", ref, stdin=_root_file_system(size_mb, torch)).splitlines()[-1]
    for extra in extra_refs:
        engine.docker("tag", image, extra)
    return image


def load_image(
    engine: Dockerd,
    ref: str,
    config: Mapping[str, object] | None = None,
    history: Sequence[str] = (),
    layers: Sequence[Mapping[str, bytes]] = (),
) -> str:
    """Load an image with any configuration and history, as an untrusted sender may craft it. Returns its ID.

    `layers`: for each layer path -> content, base first; by default one layer with a `torch/version.py`.
    """
    contents = layers or [{torch_file.PLACE: torch_file.of(ref, None), "payload": os.urandom(16)}]
    tars = [_layer(files) for files in contents]
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": config or {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars]},
        "history": [
            *({"created_by": "COPY payload"} for _ in tars),
            *({"created_by": line, "empty_layer": True} for line in history),
        ],
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        names = [f"layer-{number}.tar" for number, _ in enumerate(tars)]
        for name, layer in zip(names, tars, strict=True):
            _add(tar, name, layer)
        _add(tar, "config.json", json.dumps(document).encode())
        manifest = [{"Config": "config.json", "RepoTags": [ref], "Layers": names}]
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    engine.docker("load", stdin=archive.getvalue())
    return image_id(engine, ref)


def load_many(engine: Dockerd, repository: str, count: int) -> list[str]:
    """Load PyTorch images that share their only layer and can run, in one archive. Returns their references."""
    layer = _root_file_system(0, torch_file.of(repository, "2.9.0"))
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    references = [f"{repository}:{number}" for number in range(count)]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        _add(tar, "layer.tar", layer)
        for reference in references:
            config = {"Env": ["PYTORCH_VERSION=2.9.0"], "Labels": {"number": reference}, "Cmd": ["true"]}
            document = {
                "architecture": "amd64",
                "os": "linux",
                "config": config,
                "rootfs": {"type": "layers", "diff_ids": [digest]},
                "history": [{"created_by": "COPY payload"}],
            }
            _add(tar, f"{reference}.json", json.dumps(document).encode())
        manifest = [
            {"Config": f"{reference}.json", "RepoTags": [reference], "Layers": ["layer.tar"]}
            for reference in references
        ]
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    engine.docker("load", stdin=archive.getvalue())
    return references


def _layer(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            _add(tar, name, content)
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def build_child(
    engine: Dockerd,
    base_ref: str,
    ref: str,
    classic: bool = True,
    lines: Sequence[str] = ("COPY payload /child",),
    labels: Mapping[str, str] | None = None,
    size_mb: int = 1,
) -> str:
    """Build `ref` on `base_ref` with the classic builder or BuildKit. Returns its ID.

    `lines`: the lines of the Dockerfile below FROM; `payload`: a file of `size_mb` random megabytes.
    """
    dockerfile = [
        f"FROM {base_ref}",
        *lines,
        *(f"LABEL {_quoted(key)}={_quoted(value)}" for key, value in (labels or {}).items()),
    ]
    with tempfile.TemporaryDirectory() as context:
        Path(context, "payload").write_bytes(os.urandom(size_mb * MB))
        Path(context, "Dockerfile").write_text("\n".join(dockerfile))
        engine.docker("build", "--network=none", "--tag", ref, context, buildkit=not classic)
    return image_id(engine, ref)


def image_id(engine: Dockerd, ref: str) -> str:
    """The full ID of the image that `ref` points to now."""
    return engine.docker("image", "inspect", "--format={{.Id}}", ref)


def run(
    engine: Dockerd,
    ref: str,
    *cmd: str,
    rm: bool = False,
    detach: bool = False,
    name: str = "",
    options: Sequence[str] = (),
) -> str:
    """Run a container. Returns its output, or with `detach` its ID."""
    flags = ["--rm"] * rm + ["--detach"] * detach
    return engine.docker("run", *flags, *_common(name), *options, ref, *cmd)


def create(engine: Dockerd, ref: str, *cmd: str, name: str = "", options: Sequence[str] = ()) -> str:
    """Create a container without starting it. Returns its ID."""
    return engine.docker("create", *_common(name), *options, ref, *cmd)


def _common(name: str) -> list[str]:
    # A shell or a sleep as the first process ignores SIGTERM, so wait only one second for it instead of ten.
    return ["--network=none", "--stop-timeout=1", *([f"--name={name}"] if name else [])]


def _root_file_system(size_mb: int, torch: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(proc.require_program("busybox", "busybox-static"), "bin/busybox")
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        if torch:
            _add(tar, torch_file.PLACE, torch)
        _add(tar, "payload", os.urandom(max(size_mb * MB, 16)))  # never empty, so that no two images share a layer
    return out.getvalue()


def _quoted(text: str) -> str:
    """A word quoted for a Dockerfile."""
    return json.dumps(text, ensure_ascii=False).replace("$", r"\$")
