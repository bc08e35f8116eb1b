"""The classic builder's parents and children, and BuildKit's, which have none."""

from tests.acceptance.collector import Collector
from tests.acceptance.host import Host
from tests.support import images

STEPS = ("ENV A=1", "ENV PYTORCH_VERSION=2.4.0", "COPY payload /child")


def parent_of(host: Host, image: str) -> str:
    return str(host.engine.api("GET", f"/images/{image}/json")[1]["Parent"])


def test_untagged_pytorch_steps_go_with_the_last_image_of_their_build_and_others_stay(
    host: Host, collector: Collector
) -> None:
    host.configure(policy={"local_images": "keep", "rules": [{"match": "*", "local_images": "evict"}]})
    base = host.plain("team/plain:1")
    child = images.build_child(host.engine, "team/plain:1", "team/child:1", lines=STEPS)
    torch_step = parent_of(host, child)
    plain_step = parent_of(host, torch_step)
    assert parent_of(host, plain_step) == base
    with host.agent():
        host.await_gone(torch_step)
        host.let_one_go()
        told = collector.await_event("decision", torch_step)
    assert {row["Id"] for row in host.engine.images()} == {base, plain_step}
    assert (told["data"]["reason"], told["data"]["image"]["references"]) == ("dangling", [])
    first, second = collector.events("outcome")[:2]
    assert [first["subject"], second["subject"]] == [child, torch_step]


def test_an_idle_parent_stays_for_a_child_that_stays_and_goes_after_it(lone_host: Host) -> None:
    host = lone_host
    parent = host.torch("team/base:1")
    child = images.build_child(host.engine, "team/base:1", "team/child:1")
    container = images.create(host.engine, "team/child:1")
    with host.agent():
        host.let_one_go()
        assert host.reasons() == {"team/base:1": "has-children", "team/child:1": "in-use"}
        host.engine.docker("rm", container)
        host.await_gone(child)
        host.await_gone(parent)


def test_a_parent_goes_and_its_buildkit_child_still_runs(lone_host: Host) -> None:
    host = lone_host
    parent = host.torch("team/base:1")
    images.build_child(host.engine, "team/base:1", "team/child:1", classic=False)
    images.create(host.engine, "team/child:1")
    with host.agent():
        host.await_gone(parent)
        host.let_one_go()
    assert images.run(host.engine, "team/child:1", "echo", "alive", rm=True) == "alive"
