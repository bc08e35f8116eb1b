"""An engine that does not run yet, ends, or comes back: the agent waits for it and continues."""

import time
from pathlib import Path

from tests.acceptance.host import WATCHING, RealHost, age
from tests.support import dockerd, engines, images, proc

NOT_WATCHED = "lost the Docker event stream"


@engines.ON_BOTH_ENDS
def test_an_agent_started_before_its_engine_waits_for_it_and_takes_its_name(
    own_engine: dockerd.Dockerd, tmp_path: Path
) -> None:
    host = RealHost(own_engine, tmp_path)
    host.configure(agent={"host": ""})
    image = host.torch("team/idle:1")
    own_engine.stop()
    with host.agent(ready=lambda: host.count_in_log("no engine yet, and no agent.host is set")):
        own_engine.start()
        host.await_gone(image)
    name = own_engine.docker("info", "--format={{.Name}}")
    assert host.json("history")["host"] == name.lower()


@engines.ON_ONE
def test_an_agent_with_a_name_waits_for_its_engine_too(own_engine: dockerd.Dockerd, tmp_path: Path) -> None:
    host = RealHost(own_engine, tmp_path)
    own_engine.stop()
    with host.agent(ready=lambda: host.count_in_log(NOT_WATCHED)):
        own_engine.start()
        proc.eventually(lambda: host.count_in_log(WATCHING))


def test_an_agent_continues_to_evict_after_its_engine_restarted(own_engine: dockerd.Dockerd, tmp_path: Path) -> None:
    host = RealHost(own_engine, tmp_path)
    used = host.torch("team/used:1")
    images.create(own_engine, "team/used:1")
    with host.agent():
        host.evict_a_control_image()
        own_engine.restart()
        host.await_gone(host.torch("team/late:1"))
        assert host.has_image(used)
    assert [event["type"] for event in host.json("history")["events"] if "gap" in event["type"]] == []


def test_an_engine_killed_in_the_middle_is_watched_again(own_engine: dockerd.Dockerd, tmp_path: Path) -> None:
    host = RealHost(own_engine, tmp_path)
    with host.agent():
        own_engine.kill()
        proc.eventually(lambda: host.count_in_log(NOT_WATCHED))
        own_engine.start()
        host.await_gone(host.torch("team/late:1"))


@engines.ON_ONE  # 20.10 keeps its ID beside its root directory, later ones inside it
def test_an_engine_on_another_root_directory_knows_nothing_of_the_first_one(
    own_engine: dockerd.Dockerd, tmp_path: Path
) -> None:
    host = RealHost(own_engine, tmp_path)
    host.configure(policy={"ttl": "1h"})
    image = host.torch("team/idle:1")
    archive = tmp_path / "image.tar"
    own_engine.docker("save", "--output", str(archive), "team/idle:1")
    with host.agent():
        first = host.row(image)["idle_since"]
    with engines.running("20.10") as other:
        other.docker("load", "--input", str(archive))
        assert _identity(other)[0] == _identity(own_engine)[0]
        assert _identity(other)[1] != _identity(own_engine)[1]
        host.configure(docker={"url": other.url})
        started = time.time()
        with host.agent():
            assert age(host.row(image)["idle_since"]) <= time.time() - started
    host.configure(docker={"url": own_engine.url})
    with host.agent():
        assert host.row(image)["idle_since"] == first


def _identity(engine: dockerd.Dockerd) -> tuple[str, str]:
    identity, root = engine.docker("info", "--format={{.ID}} {{.DockerRootDir}}").split()
    return identity, root
