"""`torchkeeper restore` on a real engine and a real registry: an evicted image comes back, and stays."""

import pytest

from tests.acceptance.host import RealHost, age
from tests.support import engines, images, proc, registry

pytestmark = [engines.ON_BOTH_ENDS, pytest.mark.direct]  # the proxy lets nobody pull


@pytest.fixture
def evicted(lone_host: RealHost, loopback_registry: registry.Registry) -> tuple[str, str, str]:
    """The ID, the tag and the second tag of a pulled image that the agent evicted."""
    host, tag = lone_host, f"{loopback_registry.name}/team/again:2.9"
    second = f"{loopback_registry.name}/team/again:best"  # with containerd, of two repositories none is the origin
    image = host.torch(tag)
    host.engine.docker("push", tag)
    host.engine.docker("image", "rm", tag)
    host.configure(policy={"ttl": "2s", "local_images": "keep"})
    with host.agent():
        host.output_of("pause")
        host.engine.docker("pull", tag)
        host.engine.docker("tag", tag, second)
        proc.eventually(lambda: len(host.rows()[image]["references"]) == 2)
        host.output_of("resume")
        host.await_gone(image)
        proc.eventually(lambda: [event for event in host.events(image) if event["type"].endswith("outcome")])
    return image, tag, second


def test_an_evicted_image_comes_back_with_its_tags_and_counts_as_arrived_now(
    lone_host: RealHost, evicted: tuple[str, str, str], loopback_registry: registry.Registry
) -> None:
    host, (image, tag, second) = lone_host, evicted
    local = host.torch("lab/local:1")
    host.configure(policy={"ttl": "1h"})
    with host.agent():
        assert host.reasons() == {"lab/local:1": "local-only"}
        restored = host.run("restore", second)
        assert (restored.returncode, f"restored {tag} {second}; its idle time starts now" in restored.stdout) == (
            0,
            True,
        )
        assert f"pulling {loopback_registry.name}/team/again@sha256:" in restored.stderr
        assert images.image_id(host.engine, tag) == images.image_id(host.engine, second) == image
        proc.eventually(lambda: image in host.rows())
        row = host.rows()[image]
        assert (row["action"], row["reason"], age(row["idle_since"]) < proc.PATIENCE) == ("keep", "recent", True)
        again = host.json("restore", image[7:19])
        assert (again["pulled"], again["tagged"], sorted(again["references"])) == (False, [], sorted([tag, second]))
        host.engine.docker("tag", local, second)
        refused = host.run("restore", tag)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"{second} now belongs to another image, {local[7:19]}; nothing was pulled" in refused.stderr


def test_what_cannot_be_restored_is_said_in_one_sentence(
    lone_host: RealHost, evicted: tuple[str, str, str], loopback_registry: registry.Registry
) -> None:
    host, (image, tag, _) = lone_host, evicted
    unknown = host.run("restore", "team/none:1")
    digest = next(event for event in host.events(image) if event["type"].endswith("outcome"))["data"]["image"]["origin"]
    loopback_registry.stop()
    try:
        unreachable = host.run("restore", tag)
    finally:
        loopback_registry.start()
    by_digest = host.json("restore", digest.rpartition(":")[2][:12])
    assert [(one.returncode, one.stdout) for one in (unknown, unreachable)] == [(1, "")] * 2
    assert "no evicted image 'team/none:1' in the history" in unknown.stderr
    assert f"{digest} cannot be pulled: " in unreachable.stderr
    assert (by_digest["id"], by_digest["pulled"], by_digest["origin"]) == (image, True, digest)
