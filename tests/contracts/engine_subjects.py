"""The engines under test, in memory and real, with what people do to them, for the contract suite."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from agent.adapters.docker.engine import DockerEngine
from agent.adapters.engine import Engine
from tests.support import builders, dockerd, images
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.docker import FakeDocker
from tests.support.fakes.engine import FakeEngine


class Subject(Protocol):
    """What people do to the engine that the adapter under test is connected to."""

    engine: Engine
    containerd: bool  # the image store, which is not the classic one

    def now_ns(self) -> int: ...
    def add(self, ref: str, *more: str, env: Mapping[str, str] | None = None) -> str: ...
    def build(self, ref: str, base: str) -> str: ...
    def commit(self, cid: str, ref: str = "") -> str: ...
    def tag(self, image_id: str, ref: str) -> None: ...
    def create(self, ref: str, name: str = "") -> str: ...
    def run(self, ref: str, *, rm: bool) -> None: ...
    def execute_in(self, ref: str) -> None: ...
    def nowhere(self) -> Engine: ...


class FakeSubject:
    containerd = False

    def __init__(self) -> None:
        self.clock = FakeClock(datetime.now(UTC))
        self.docker = FakeDocker(self.clock)
        self.engine: Engine = FakeEngine(self.docker)

    def now_ns(self) -> int:
        self.clock.jump(0.001)  # as time passes between two acts
        return int(self.clock.now().timestamp() * 1e6) * 1000

    def add(self, ref: str, *more: str, env: Mapping[str, str] | None = None) -> str:
        details = builders.make_details(ref, env=env)
        self.docker.load(builders.make_image(ref, ref, *more, details=details), "import")
        return builders.make_id(ref)

    def build(self, ref: str, base: str) -> str:
        return self.docker.build(ref, base, classic=True)

    def commit(self, cid: str, ref: str = "") -> str:
        return self.docker.commit(cid, ref)

    def tag(self, image_id: str, ref: str) -> None:
        self.docker.tag(image_id, ref)

    def create(self, ref: str, name: str = "") -> str:
        return self.docker.create(ref, name)

    def run(self, ref: str, *, rm: bool) -> None:
        cid = self.docker.run(ref)
        self.docker.remove(cid) if rm else self.docker.end(cid)

    def execute_in(self, ref: str) -> None:
        cid = self.docker.run(ref)
        self.docker.emit("container", "exec_create: true ", cid, image=ref)
        self.docker.remove(cid)

    def nowhere(self) -> Engine:
        gone = FakeDocker(self.clock)
        gone.stop()
        return FakeEngine(gone)


class RealSubject:
    def __init__(self, real: dockerd.Dockerd, *, containerd: bool) -> None:
        self.real = real
        self.containerd = containerd
        self.engine: Engine = DockerEngine(real.url)

    def now_ns(self) -> int:
        return time.time_ns()

    def add(self, ref: str, *more: str, env: Mapping[str, str] | None = None) -> str:
        return images.import_image(self.real, ref, env=env, size_mb=0, extra_refs=more)

    def build(self, ref: str, base: str) -> str:
        return images.build_child(self.real, base, ref, size_mb=0)

    def commit(self, cid: str, ref: str = "") -> str:
        return self.real.docker("commit", cid, *([ref] if ref else []))

    def tag(self, image_id: str, ref: str) -> None:
        self.real.docker("tag", image_id, ref)

    def create(self, ref: str, name: str = "") -> str:
        return images.create(self.real, ref, name=name)

    def run(self, ref: str, *, rm: bool) -> None:
        images.run(self.real, ref, "true", rm=rm)

    def execute_in(self, ref: str) -> None:
        cid = images.run(self.real, ref, "sleep", "60", detach=True)
        self.real.docker("exec", cid, "true")
        self.real.docker("rm", "--force", cid)

    def nowhere(self) -> Engine:
        return DockerEngine(f"unix://{self.real.folder}/no.sock")
