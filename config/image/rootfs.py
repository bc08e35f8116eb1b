"""Collects the files of the container image, whose last stage begins with an empty file system. The Dockerfile runs it.

    rootfs.py system ROOT             what every image needs: the interpreter, the standard library, the libraries of
                                      both, certificates, accounts, and the records of the Debian packages
    rootfs.py program VENV ROOT BASE  the libraries that a virtual environment with torchkeeper needs and that BASE, a
                                      folder made by `system`, does not have; the environment itself is made ready

ROOT is created. Every module is compiled without a time stamp or a check of its source, because the image is read-only.
It runs on a base with glibc, and with dpkg if the packages are to be recorded. It ends with an error if a library, or
the copyright file of a package, is missing.
"""

import base64
import fnmatch
import hashlib
import os
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

INTERPRETER = Path(sys._base_executable)  # type: ignore[attr-defined]  # the one of the base, not of a venv
NOT_NEEDED = (
    *("test", "tests", "_test*", "_ctypes_test*", "_xxtestfuzz*", "xxlimited*"),
    *("idlelib", "tkinter", "_tkinter*", "turtle.py", "turtledemo", "pydoc_data", "sitecustomize.py"),
    *("curses", "_curses*", "readline*", "_dbm*", "_gdbm*"),  # with large libraries that nothing here uses
    *("ensurepip", "venv", "site-packages", "dist-packages", "config-*", "__pycache__"),
)
NOT_COMPILED = r"/pygments/lexers/[^_]"  # 4 MB for languages that nothing here prints
LIBRARIES = ("libgcc_s.so.1",)  # glibc loads it by name when a thread ends
PLAIN_FILES = ("/etc/os-release", "/etc/debian_version", "/etc/ld.so.conf", "/etc/ld.so.conf.d/*.conf")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LICENCES = "/usr/share/common-licenses/*"  # the copyright files refer to them
USER = 65532  # the user and the group
ACCOUNTS = {
    "passwd": f"root:x:0:0:root:/root:/nonexistent\ntorchkeeper:x:{USER}:{USER}::/var/lib/torchkeeper:/nonexistent\n",
    "group": f"root:x:0:\ntorchkeeper:x:{USER}:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
FOLDERS = {"tmp": (0o1777, 0), "etc/torchkeeper": (0o755, 0), "var/lib/torchkeeper": (0o750, USER)}
ISOLATED = "-IBu"  # neither PYTHONPATH nor the working directory counts; writes no bytecode; does not delay output


class Missing(Exception):
    """Something that the image needs is not in the base."""


class Root:
    """The folder that becomes the file system of the image."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: set[Path] = set()  # the copied files, by their paths in the base without links
        folder.mkdir(parents=True)

    def bring(self, path: Path) -> None:
        """Copy a file to the same path, with every link on the way."""
        done = Path("/")
        for number, part in enumerate(path.parts[1:], 2):
            here = done / part
            if here.is_symlink():
                target = here.readlink()
                self.link(here, str(target))
                return self.bring(Path(os.path.normpath(Path(done, target, *path.parts[number:]))))
            done = here
        self._copy(done)
        return None

    def link(self, path: Path, target: str) -> None:
        place = self._place(path)
        if not place.is_symlink():
            place.symlink_to(target)

    def _copy(self, path: Path) -> None:
        if path not in self.files:
            shutil.copy2(path, self._place(path))
            self.files.add(path)

    def _place(self, path: Path) -> Path:
        place = self.folder / path.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def write(self, path: str, text: str) -> None:
        self._place(Path("/", path)).write_text(text)


# The system


def system(folder: Path) -> None:
    root, library = Root(folder), Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
    standard_library(root, library)
    root.bring(INTERPRETER)
    for found in sorted({*needed([INTERPRETER, *shared_objects(library)]), *by_name(LIBRARIES)}):
        root.bring(found)
    for pattern in (*PLAIN_FILES, LICENCES):
        for path in Path("/").glob(pattern[1:]):
            root.bring(path)
    certificates(root)
    for name, text in ACCOUNTS.items():
        root.write(f"etc/{name}", text)
    record_packages(root)
    subprocess.run(["ldconfig", "-r", folder], check=True)
    compile_modules(folder / library.relative_to("/"), strip=folder)
    for name, (mode, owner) in FOLDERS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name).chmod(mode)
        os.chown(folder / name, owner, owner)


def standard_library(root: Root, library: Path) -> None:
    for path in walk(library):
        root.bring(path)


def walk(folder: Path) -> Iterator[Path]:
    """The files of the standard library that are needed."""
    for path in sorted(folder.iterdir()):
        if any(fnmatch.fnmatch(path.name, pattern) for pattern in NOT_NEEDED):
            continue
        if path.is_dir():
            yield from walk(path)
        elif path.exists():  # not a link to a file that the base does not have
            yield path


def shared_objects(folder: Path) -> list[Path]:
    """The compiled modules of a folder."""
    return [path for path in walk(folder) if ".so" in path.suffixes]


def needed(binaries: Iterable[Path]) -> set[Path]:
    """The libraries that programs and compiled modules need. Raises Missing."""
    arguments = [str(path) for path in binaries]
    done = subprocess.run(["ldd", *arguments], capture_output=True, text=True, check=False) if arguments else None
    lines = done.stdout.splitlines() if done else []
    absent = sorted({line.split()[0] for line in lines if line.endswith("not found")})
    if absent:
        raise Missing(f"the base has no {', '.join(absent)}")
    found = (re.match(r"\s+(?:\S+ => )?(/\S+) \(0x", line) for line in lines)
    return {Path(match[1]) for match in found if match}


def by_name(names: Iterable[str]) -> set[Path]:
    """The libraries of these names that the base has, of the interpreter's own architecture."""
    listed = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    own = INTERPRETER.resolve().read_bytes()[:20]
    found = set()
    for name in names:
        for path in map(Path, re.findall(rf"(?m)^\s+{re.escape(name)} .* => (/\S+)$", listed)):
            if path.read_bytes()[18:20] == own[18:20]:  # e_machine of the ELF header
                found.add(path)
    return found


def certificates(root: Root) -> None:
    """The bundle of certificates, also under the name that OpenSSL asks for."""
    if not CERTIFICATES.exists():
        raise Missing(f"the base has no {CERTIFICATES}; install ca-certificates in it")
    root.bring(CERTIFICATES)
    asked = Path(ssl.get_default_verify_paths().openssl_cafile)
    if asked.exists():
        root.bring(asked)
    else:
        root.link(asked, str(CERTIFICATES))
    settings = asked.with_name("openssl.cnf")
    if settings.exists():
        root.bring(settings)


# The records of Debian packages, for scanners of vulnerabilities and for their licences


def record_packages(root: Root) -> None:
    """Write the status and bring the copyright of each package that a copied file is from."""
    owners = owners_of(root.files)
    for name in sorted(set(owners.values())):
        root.write(f"var/lib/dpkg/status.d/{name}", stanzas()[name])
        copyright_file = Path(f"/usr/share/doc/{name}/copyright")
        if not copyright_file.exists():
            raise Missing(f"the base has no {copyright_file}, and the package may not be passed on without it")
        root.bring(copyright_file)


def owners_of(files: set[Path]) -> dict[Path, str]:
    """File -> the name of its Debian package, for those that are from one."""
    owners = {}
    for listing in Path("/var/lib/dpkg/info").glob("*.list"):
        package = listing.stem.partition(":")[0]
        for line in listing.read_text().splitlines():
            path = Path(line)
            real = resolved(path.parent) / path.name
            if real in files:
                owners[real] = package
    return owners


@cache
def resolved(folder: Path) -> Path:
    return folder.resolve()


@cache
def stanzas() -> dict[str, str]:
    """Package -> its entry in dpkg's database."""
    entries = Path("/var/lib/dpkg/status").read_text().split("\n\n")
    return {entry.split("\n", 1)[0].removeprefix("Package: "): f"{entry.strip()}\n" for entry in entries if entry}


# The program


def program(venv: Path, folder: Path, base: Path) -> None:
    root = Root(folder)
    for path in needed(path for path in venv.rglob("*.so*") if path.is_file()):
        if not path.is_relative_to(venv) and not (base / path.relative_to("/")).exists():
            root.bring(path)
    record_packages(root)
    packages = next(venv.glob("lib/python*/site-packages"))
    tidy_programs(venv / "bin")
    isolate(venv / "bin" / "torchkeeper", packages)
    (venv / "healthcheck.py").symlink_to((packages / "agent" / "healthcheck.py").relative_to(venv))
    compile_modules(packages)


def tidy_programs(programs: Path) -> None:
    """Leave only torchkeeper and the names of the interpreter."""
    for path in programs.iterdir():
        if path.name != "torchkeeper" and not path.is_symlink():
            path.unlink()


def isolate(script: Path, packages: Path) -> None:
    """Let the command start its interpreter isolated, and record its new checksum where pip recorded the old one."""
    lines = script.read_bytes().split(b"\n")
    lines[0] += f" {ISOLATED}".encode()
    script.write_bytes(b"\n".join(lines))
    digest = base64.urlsafe_b64encode(hashlib.sha256(script.read_bytes()).digest()).rstrip(b"=").decode()
    [record] = packages.glob("torchkeeper-*.dist-info/RECORD")
    pattern = r"(?m)^(\.\./.*bin/torchkeeper),sha256=[^,]*,\d+$"
    text, count = re.subn(pattern, rf"\1,sha256={digest},{script.stat().st_size}", record.read_text())
    if count != 1:
        raise Missing(f"{record} does not list {script}")
    record.write_text(text)


def compile_modules(folder: Path, strip: Path | None = None) -> None:
    """Compile the modules of a folder. `strip`: what their paths in the image do not begin with."""
    paths = ["-s", str(strip), "-p", "/"] if strip else []
    options = ["-q", "-j", "0", "-x", NOT_COMPILED, "--invalidation-mode", "unchecked-hash", *paths]
    subprocess.run([sys.executable, "-m", "compileall", *options, folder], check=True)


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case ["system", root]:
                system(Path(root))
            case ["program", venv, root, base]:
                program(Path(venv), Path(root), Path(base))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except Missing as error:
        print(f"rootfs.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
