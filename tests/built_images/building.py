"""Builds the cases, and reads from each image what is in it and what it says of itself."""

import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from agent.adapters.docker import DockerEngine
from agent.core import model
from tests.built_images import case as cases
from tests.built_images import root
from tests.support.dockerd import Dockerd

AT_ONCE = 4
INSTALL_SCRIPT = "pip install $1\n"  # without the package's name: what it installs, only its caller tells


@dataclass(frozen=True, slots=True)
class Built:
    """One image: what it says, and whether torch is in its final file system."""

    case: cases.Case
    builder: str
    has_torch: bool
    image: model.Image


def import_bases(engine: Dockerd) -> None:
    root.import_base(engine, cases.BASE)
    root.import_base(engine, cases.ALPINE, sh="busybox")
    root.import_base(engine, cases.WITH_ENV, env="WITH=yes")


async def build_all(engine: Dockerd, builder: str, chosen: Mapping[str, cases.Case]) -> dict[str, Built]:
    """Case name -> what was built; on an engine that is this function's until it ends."""
    engine.empty()
    import_bases(engine)
    references = {name: f"corp/case-{number}:1" for number, name in enumerate(chosen)}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = {name: pool.submit(_build, engine, builder, case, references[name]) for name, case in chosen.items()}
        truths = {name: job.result() for name, job in jobs.items()}
    images = await _inspected(engine)
    return {
        name: Built(chosen[name], builder, truths[name], images[reference]) for name, reference in references.items()
    }


def _build(engine: Dockerd, builder: str, case: cases.Case, reference: str) -> bool:
    """Build one, and say whether torch is in it."""
    given = [f"--build-arg={name}={value}" for name, value in case.arguments.items()]
    with tempfile.TemporaryDirectory() as context:
        Path(context, "Dockerfile").write_text(case.dockerfile)
        Path(context, "install.sh").write_text(INSTALL_SCRIPT)
        command = ("build", "--quiet", "--network=none", *given, "--tag", reference, context)
        engine.docker(*command, buildkit=builder == cases.BUILDKIT)
    return any(path.endswith("/torch/version.py") for path in _files(engine, reference))


def _files(engine: Dockerd, reference: str) -> Iterable[str]:
    """The paths in an image, as a container made of it has them."""
    container = engine.docker("create", "--network=none", reference, "true")
    try:
        with tempfile.NamedTemporaryFile() as file:
            engine.docker("export", f"--output={file.name}", container)
            with tarfile.open(file.name) as tar:
                return tar.getnames()
    finally:
        engine.api("DELETE", f"/containers/{container}")


async def _inspected(engine: Dockerd) -> dict[str, model.Image]:
    client = DockerEngine(engine.url)
    await client.connect()
    try:
        return {reference: image for image in await client.images({}) for reference in image.references}
    finally:
        await client.close()
