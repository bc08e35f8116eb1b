"""Images mounted in containers (`--mount type=image`, from engine 28 on), which the engine itself deletes by ID.

The engine keeps the name by which an image was mounted, and no list says which image that was.
"""

import pytest

from tests.acceptance.host import RealHost
from tests.support import engines, images, proc

pytestmark = engines.ON_CURRENT

RULES = [{"match": "team/tool:*", "keep": True}]


@pytest.fixture
def mounting_host(lone_host: RealHost) -> RealHost:
    """With an image to make containers of, that stays."""
    lone_host.configure(policy={"rules": RULES})
    lone_host.torch("team/tool:1")
    return lone_host


def mount(host: RealHost, source: str, *, start: str = "") -> str:
    """A container that mounts an image; started with a command. The client of 20.10 knows no such mount."""
    body = {
        "Image": "team/tool:1",
        "Cmd": (start or "true").split(),
        "HostConfig": {"NetworkMode": "none", "Mounts": [{"Type": "image", "Source": source, "Target": "/m"}]},
    }
    status, made = host.engine.api("POST", "/containers/create", body)
    assert status == 201, made
    if start:
        host.engine.docker("start", made["Id"])
    return str(made["Id"])


def test_a_mounted_image_stays_in_any_state_of_its_container_and_is_evicted_after_it(mounting_host: RealHost) -> None:
    host = mounting_host
    by_tag, by_id, stopped = (host.torch(f"team/data:{number}") for number in range(3))
    containers = [
        mount(host, "team/data:0"),
        mount(host, by_id, start="sleep 600"),
        mount(host, stopped[7:19], start="true"),
    ]
    proc.eventually(lambda: {row["State"] for row in host.engine.containers()} == {"created", "running", "exited"})
    with host.agent():
        host.evict_a_control_image()
        assert {image: host.row(image)["reason"] for image in (by_tag, by_id, stopped)} == dict.fromkeys(
            (by_tag, by_id, stopped), "in-use"
        )
        host.engine.docker("rm", "--force", *containers)
        for image in (by_tag, by_id, stopped):
            host.await_gone(image)


def test_after_its_name_moved_the_mounted_image_stays_and_the_one_that_has_the_name_is_evicted(
    mounting_host: RealHost,
) -> None:
    host = mounting_host
    old = host.torch("team/data:1")
    with host.agent() as agent:
        mount(host, "team/data:1", start="sleep 600")
        new = host.torch("team/data:1")
        host.await_gone(new)
        agent.kill()
    with host.agent():
        host.evict_a_control_image()
        assert (host.row(old)["references"], host.row(old)["reason"]) == ([], "in-use")


@pytest.mark.parametrize("known", [True, False], ids=["watched-before", "never-watched"])
def test_an_image_mounted_while_the_agent_was_away_stays_though_its_name_has_moved(
    mounting_host: RealHost, known: bool
) -> None:
    host = mounting_host
    old = host.torch("team/data:1")
    if known:
        host.configure(policy={"ttl": "1h"})
        with host.agent():
            proc.eventually(lambda: host.row(old)["idle_since"])
    images.run(host.engine, "team/tool:1", rm=True)
    mount(host, "team/data:1", start="true")
    host.torch("team/data:1")
    host.configure(policy={"ttl": "1s"})
    with host.agent():
        host.evict_a_control_image()
        assert (host.row(old)["references"], host.row(old)["reason"]) == ([], "in-use")
