"""Builds the cases, and reads from each image what is in it and what it says of itself."""

import io
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agent.adapters.docker.engine import DockerEngine
from agent.core import model
from tests.built_images import case as cases
from tests.built_images import record, root
from tests.support.dockerd import Dockerd

ENGINES = {cases.CLASSIC: "20.10", cases.BUILDKIT: "26.1"}  # which kind of engine builds; BuildKit's takes heredocs
AT_ONCE = 4


async def build_all(engine: Dockerd, builder: str, chosen: Mapping[str, cases.Case]) -> list[record.Recorded]:
    """Build them on an engine that is emptied for it; AssertionError where one cannot be built."""
    engine.empty()
    _import_bases(engine)
    references = {name: f"corp/case-{number}:1" for number, name in enumerate(chosen)}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = {name: pool.submit(_build, engine, builder, case, references[name]) for name, case in chosen.items()}
        truths = {name: job.result() for name, job in jobs.items()}
    details = await _inspected(engine)
    return [record.of(name, builder, truths[name], details[references[name]]) for name in chosen]


def _import_bases(engine: Dockerd) -> None:
    root.import_base(engine, cases.BASE)
    root.import_base(engine, cases.ALPINE, sh="busybox")
    root.import_base(engine, cases.OFFLINE, offline=True)
    root.import_base(engine, cases.WITH_ENV, env="WITH=yes")


def _build(engine: Dockerd, builder: str, case: cases.Case, reference: str) -> bool:
    """Build one, and say whether torch is in it."""
    given = [f"--build-arg={name}={value}" for name, value in case.arguments.items()]
    with tempfile.TemporaryDirectory() as context:
        Path(context, "Dockerfile").write_text(case.dockerfile)
        Path(context, "script.sh").write_text(case.script)
        command = ("build", "--quiet", "--network=none", *given, "--tag", reference, context)
        engine.docker(*command, buildkit=builder == cases.BUILDKIT)
    return any(path.endswith("/torch/version.py") for path in _files(engine, reference))


def _files(engine: Dockerd, reference: str) -> Sequence[str]:
    """The paths in an image, as a container made of it has them."""
    container = engine.api("POST", "/containers/create", {"Image": reference, "Cmd": ["true"]})[1]["Id"]
    try:
        with tarfile.open(fileobj=io.BytesIO(engine.export(container))) as tar:
            return tar.getnames()
    finally:
        engine.api("DELETE", f"/containers/{container}?v=1")


async def _inspected(engine: Dockerd) -> dict[str, model.Details]:
    """Reference -> what the project's own adapter reads of the image."""
    client = DockerEngine(engine.url)
    await client.connect()
    try:
        images = await client.images({})
    finally:
        await client.close()
    return {reference: image.details for image in images if image.details for reference in image.references}
