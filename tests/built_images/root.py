"""The file system that the cases are built on: real shells, busybox for everything else, and stubs of installers."""

import io
import re
import subprocess
import tarfile
from pathlib import Path

from tests.support import proc
from tests.support.dockerd import Dockerd

STUBS = Path(__file__).parent / "stubs"
_PLACES = {  # where each stub stands, by all its names
    "pip": ("usr/local/bin/pip", "usr/local/bin/pip3", "usr/local/bin/pip3.11"),
    "python": (
        "usr/local/bin/python",
        "usr/local/bin/python3",
        "usr/local/bin/python3.11",
        "usr/local/bin/virtualenv",
    ),
    "pip-autoremove": ("usr/local/bin/pip-autoremove",),
    "pip-sync": ("usr/local/bin/pip-sync",),
    "conda": ("opt/conda/bin/conda", "usr/local/bin/conda", "usr/local/bin/mamba", "usr/local/bin/micromamba"),
    "uv": ("usr/local/bin/uv",),
    "git": ("usr/bin/git",),
    "dpkg": ("usr/bin/dpkg",),
    "apt-get": ("usr/bin/apt-get", "usr/bin/apt"),
    "sudo": ("usr/bin/sudo",),
}
_FOLDERS = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700, "usr/local/lib/python3.11/site-packages": 0o755}
_USER = 1000
_PROGRAMS = {
    "bash": "bash",
    "dash": "dash",
    "find": "findutils",
    "nice": "coreutils",
    "nohup": "coreutils",
    "true": "coreutils",
}
_NOT_DEBIANS = {"[[", "sh"}  # of busybox: no Debian has a program called `[[`


def import_base(engine: Dockerd, reference: str, sh: str = "dash", env: str = "", offline: bool = False) -> None:
    """An image of that file system, where `sh` names the program behind /bin/sh."""
    change = [f"--change=ENV {env}"] if env else []
    engine.docker("import", *change, "-", reference, stdin=_tar(sh, offline))


def _tar(sh: str, offline: bool) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, mode in _FOLDERS.items():
            _folder(tar, name, mode)
        _folder(tar, "home/app", 0o755, _USER)
        _text(tar, "etc/passwd", f"root:x:0:0::/root:/bin/sh\napp:x:{_USER}:{_USER}::/home/app:/bin/sh\n")
        _text(tar, "etc/group", f"root:x:0:\napp:x:{_USER}:\n")
        _text(tar, "etc/profile", "")
        if offline:
            _text(tar, "etc/offline", "")
        _add_busybox(tar)
        _add_programs(tar)
        _link(tar, "bin/sh", sh)
        _link(tar, "usr/bin/bash", "/bin/bash")
        for stub, places in _PLACES.items():
            for place in places:
                _text(tar, place, (STUBS / stub).read_text(), 0o755)
    return out.getvalue()


def _add_busybox(tar: tarfile.TarFile) -> None:
    program = proc.require_program("busybox", "busybox-static")
    tar.add(program, "bin/busybox")
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in set(listed) - {"busybox", *_NOT_DEBIANS, *_PROGRAMS}:
        _link(tar, f"bin/{applet}", "busybox")


def _add_programs(tar: tarfile.TarFile) -> None:
    """Debian's own shells, and what its busybox lacks, with the libraries that they load."""
    libraries = set()
    for name, package in _PROGRAMS.items():
        program = proc.require_program(name, package)
        tar.add(Path(program).resolve(), f"bin/{name}")
        loaded = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        libraries |= set(re.findall(r"(/\S+) \(0x", loaded))
    for library in sorted(libraries):
        tar.add(Path(library).resolve(), library.removeprefix("/"))


def _folder(tar: tarfile.TarFile, name: str, mode: int, owner: int = 0) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, mode, owner, owner
    tar.addfile(info)


def _text(tar: tarfile.TarFile, name: str, text: str, mode: int = 0o644) -> None:
    content = text.encode()
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    tar.addfile(info, io.BytesIO(content))


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    tar.addfile(info)
