"""One contract for the container that is made and never started, in memory and on each kind of engine."""

import contextlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from agent.adapters.docker.inside import DockerInside
from agent.adapters.engine import EngineError, NotFound
from agent.adapters.inside import Inside
from agent.core.usage import look_inside
from tests.support import builders, dockerd, engines, images, torch_file
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.docker import FakeDocker
from tests.support.fakes.inside import FakeInside

TOKEN, OTHER = "0123456789abcdef", "f" * 16
PLACE = f"/{torch_file.PLACE}"


class FakeSubject:
    def __init__(self) -> None:
        self.docker = FakeDocker(FakeClock(datetime.now(UTC)))
        self.inside: Inside = FakeInside(self.docker)

    def add(self) -> str:
        details = builders.make_details("torch", env={"VIRTUAL_ENV": "/venv"})
        self.docker.add(builders.make_image("torch", "team/torch:2.4.0", details=details))
        self.docker.images[builders.make_id("torch")].files = {PLACE: torch_file.of("", None).decode()}
        return builders.make_id("torch")

    def start(self, cid: str) -> None:
        self.docker.begin(cid)
        self.docker.end(cid)

    def create(self, image_id: str, name: str, **labels: str) -> None:
        self.docker.create(image_id, name, **labels)

    def containers(self) -> int:
        return len(self.docker.containers)


class RealSubject:
    def __init__(self, real: dockerd.Dockerd) -> None:
        self.real = real
        self.inside: Inside = DockerInside(real.url)

    def add(self) -> str:
        return images.import_image(self.real, "team/torch:2.4.0", env={"VIRTUAL_ENV": "/venv"})

    def start(self, cid: str) -> None:
        self.real.docker("start", cid)  # it fails: the command is none
        self.real.docker("wait", cid)

    def create(self, image_id: str, name: str, **labels: str) -> None:
        options = [f"--label={key}={value}" for key, value in labels.items()]
        images.create(self.real, image_id, name=name, options=options)

    def containers(self) -> int:
        return len(self.real.docker("ps", "--all", "--quiet").splitlines())


Subject = FakeSubject | RealSubject


@pytest.fixture(params=["fake", *(pytest.param(kind, marks=pytest.mark.real) for kind in engines.CONTRACT)])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    made: Subject = FakeSubject()
    if request.param != "fake":
        daemon = request.getfixturevalue("pool_of_engines").get(request.param)
        daemon.empty()
        made = RealSubject(daemon)
    await made.inside.connect()
    yield made
    await made.inside.close()


async def test_a_file_of_an_image_is_read_and_anything_else_is_not(subject: Subject) -> None:
    cid = await subject.inside.make(subject.add(), TOKEN)
    assert await subject.inside.read(cid, PLACE) == torch_file.of("", None).decode()
    for path in (PLACE.rpartition("/")[0], "/nowhere/version.py", f"{PLACE}/deeper"):
        assert await subject.inside.read(cid, path) is None


async def test_the_variables_of_an_image_are_reported(subject: Subject) -> None:
    env, workdir = await subject.inside.settings(subject.add())
    assert (env["VIRTUAL_ENV"], workdir) == ("/venv", "")


async def test_a_container_is_found_by_its_token_and_removed(subject: Subject) -> None:
    cid = await subject.inside.make(subject.add(), TOKEN)
    assert await subject.inside.find(OTHER) is None
    made = await subject.inside.find(TOKEN)
    assert made is not None
    assert (made.id, made.ours) == (cid, True)
    await subject.inside.remove(cid)
    assert (await subject.inside.find(TOKEN), subject.containers()) == (None, 0)
    with pytest.raises(NotFound):
        await subject.inside.remove(cid)


@pytest.mark.parametrize("labels", [{}, {look_inside.LABEL: OTHER}])
async def test_a_container_that_only_has_the_name_is_not_ours(subject: Subject, labels: dict[str, str]) -> None:
    subject.create(subject.add(), look_inside.name_of(TOKEN), **labels)
    made = await subject.inside.find(TOKEN)
    assert made is not None
    assert not made.ours


async def test_a_container_that_ran_is_not_ours_any_more(subject: Subject) -> None:
    cid = await subject.inside.make(subject.add(), TOKEN)
    with contextlib.suppress(AssertionError):
        subject.start(cid)
    made = await subject.inside.find(TOKEN)
    assert made is not None
    assert made.ours is isinstance(subject, RealSubject)  # there its command is none, so that it never ran at all


async def test_from_an_image_that_does_not_exist_no_container_is_made(subject: Subject) -> None:
    with pytest.raises(EngineError):
        await subject.inside.make(f"sha256:{os.urandom(32).hex()}", TOKEN)
    assert await subject.inside.find(TOKEN) is None
