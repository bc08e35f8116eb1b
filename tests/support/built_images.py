"""Both images of the Dockerfile, built without a network from locked wheels on a private engine."""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.support import proc
from tests.support.dockerd import Dockerd
from tests.support.proc import ROOT

BASE = "python:3.13-slim"  # the Dockerfile's default
AGENT, MONITOR = "torchkeeper:test", "torchkeeper-monitor:test"
REVISION = "0123456789abcdef0123456789abcdef01234567"
LOCKS = ("requirements.lock", "requirements-monitor.lock", "requirements-build.lock")
CONTEXT = ("Dockerfile", ".dockerignore", "agent", "config/image", "pyproject.toml", "README.md", "LICENSE", *LOCKS)
WHEELS_OF = LOCKS[1:]  # those of the first are among them
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
INDEX_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "http_proxy", "https_proxy", "no_proxy")
# BuildKit shares the stages of the two builds; DOCKER_BUILDKIT=0 checks the classic builder, which takes longer.
BUILDKIT = os.environ.get("DOCKER_BUILDKIT") != "0"


def build(engine: Dockerd, context: Path) -> None:
    """Build both images on an engine. `context`: an empty folder."""
    engine.docker("import", "--change", 'CMD ["python"]', _base_tar(), BASE)
    for name in CONTEXT:
        source, target = ROOT / name, context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    shutil.copytree(_wheels(engine), context / "wheels")
    settings = ("PIP_NO_INDEX=1", "PIP_FIND_LINKS=/src/wheels", f"REVISION={REVISION}")
    options = ["--network=none", *(f"--build-arg={setting}" for setting in settings)]
    for stage, tag in (("agent", AGENT), ("monitor", MONITOR)):
        arguments = (*options, f"--target={stage}", f"--tag={tag}", str(context))
        engine.docker("build", *arguments, buildkit=BUILDKIT, timeout=900)


def _base_tar() -> str:
    made = subprocess.run([ROOT / ".ci" / "bootstrap", "base"], capture_output=True, text=True, check=False)
    proc.require(made.returncode == 0, f"no base image: {made.stderr.strip()}")
    return made.stdout.strip()


def _wheels(engine: Dockerd) -> Path:
    """The locked wheels for the base's Python, downloaded inside it once for each content of the lock files."""
    content = b"".join((ROOT / lock).read_bytes() for lock in WHEELS_OF)
    folder = ROOT / ".cache" / f"wheels-{hashlib.sha256(content).hexdigest()[:16]}"
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        _download(engine, part)
        part.rename(folder)
    return folder


def _download(engine: Dockerd, folder: Path) -> None:
    bundle = os.environ.get("SSL_CERT_FILE", CA_BUNDLE)
    trust = [f"--volume={bundle}:{CA_BUNDLE}:ro", f"--env=PIP_CERT={CA_BUNDLE}"] if Path(bundle).exists() else []
    settings = [f"--env={name}" for name in INDEX_SETTINGS if name in os.environ]
    mounts = [f"--volume={folder}:/wheels", *(f"--volume={ROOT / lock}:/{lock}:ro" for lock in WHEELS_OF)]
    requirements = [f"--requirement=/{lock}" for lock in WHEELS_OF]
    pip = ["python3", "-m", "pip", "wheel", "--require-hashes", "--wheel-dir=/wheels", *requirements]
    engine.docker("run", "--rm", "--network=host", *trust, *settings, *mounts, BASE, *pip, timeout=900)


def files_of(engine: Dockerd, image: str) -> dict[str, tarfile.TarInfo]:
    """Path -> entry of each file, folder and link in an image."""
    container = engine.docker("create", "--network=none", image)
    try:
        with tarfile.open(fileobj=io.BytesIO(engine.export(container))) as tar:
            return {f"/{entry.name}".rstrip("/"): entry for entry in tar}
    finally:
        engine.docker("rm", container)
