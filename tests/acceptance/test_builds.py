"""Builds are uses. The classic builder's parents and children, and BuildKit's, which have none."""

import pytest

from tests.acceptance.collector import AcceptanceCollector
from tests.acceptance.host import NAME, RealHost, now, seconds_between
from tests.support import engines, images, proc

EACH_BUILDER = pytest.mark.parametrize("classic", [True, False], ids=["classic", "buildkit"])
STEPS = ("ENV A=1", "ENV PYTORCH_VERSION=2.4.0", "COPY payload /child")
BY_WHAT_THEY_SAY = {"probe_layers": False}  # the steps say that they are PyTorch, and have no torch


def parent_of(host: RealHost, image: str) -> str:
    return str(host.engine.api("GET", f"/images/{image}/json")[1]["Parent"])


@EACH_BUILDER
def test_a_build_is_a_use_of_its_base_and_both_are_evicted_a_ttl_after_it(
    host: RealHost, collector: AcceptanceCollector, kind: str, classic: bool
) -> None:
    host.configure(policy={"ttl": "2s"})
    base = host.torch("team/base:1")
    host.output_of("pause")
    with host.agent():
        collector.await_image(NAME, base, lambda item: item["held_by"] == "paused")
        started = now()
        child = images.build_child(host.engine, "team/base:1", "team/child:1", classic=classic)
        ended = now()
        host.output_of("resume")
        outcomes = [collector.await_event("outcome", image)["data"]["outcome"] for image in (base, child)]
    used = host.events(base)[0]["data"]["last_used"]
    assert outcomes == ["removed", "removed"]
    if kind in engines.BUILDS_IN_SILENCE and not classic:
        assert used > ended  # seen when the images were listed again, before the eviction
    else:
        assert host.last_event("tag", image=child) <= used <= ended  # from 28 on a `create` may follow
    assert seconds_between(used, host.last_event("delete", image=base)) >= 2
    assert seconds_between(started, host.last_event("delete", image=child)) >= 2


@EACH_BUILDER
def test_a_base_that_is_due_stays_for_the_build_that_nobody_watched(lone_host: RealHost, classic: bool) -> None:
    host = lone_host
    host.configure(policy={"ttl": "3s"})
    base = host.torch("team/base:1")
    with host.agent() as agent:
        agent.kill()
    started = now()
    images.build_child(host.engine, "team/base:1", "team/child:1", classic=classic)
    with host.agent():
        host.await_gone(base)
        proc.eventually(lambda: len(host.events(base)) == 2)
    used = host.events(base)[0]["data"]["last_used"]
    assert used > started
    assert seconds_between(used, host.last_event("delete", image=base)) >= 3


@EACH_BUILDER
def test_a_result_whose_tag_the_next_build_took_has_its_ttl_like_others(
    lone_host: RealHost, kind: str, classic: bool
) -> None:
    host = lone_host
    host.configure(policy={"ttl": "1h", "rules": [{"match": "team/*", "keep": True}]})
    base = host.torch("team/base:1")
    with host.agent():
        old = images.build_child(host.engine, "team/base:1", "team/child:1", classic=classic)
        new = images.build_child(host.engine, "team/base:1", "team/child:1", classic=classic)
        rows = host.rows()
    forgotten = kind in engines.FORGETS_WHAT_A_BUILD_REPLACED and not classic
    left: dict[str, tuple[list[str], str]] = {} if forgotten else {old: ([], "recent")}
    assert {image: (row["references"], row["reason"]) for image, row in rows.items()} == {
        base: (["team/base:1"], "rule-keep"),
        new: (["team/child:1"], "rule-keep"),
        **left,
    }


def test_untagged_pytorch_steps_are_evicted_with_the_last_image_of_their_build_and_others_stay(
    host: RealHost, collector: AcceptanceCollector
) -> None:
    host.configure(
        images=BY_WHAT_THEY_SAY,
        policy={"local_images": "keep", "rules": [{"match": "*", "local_images": "evict"}]},
    )
    base = host.plain("team/plain:1")
    child = images.build_child(host.engine, "team/plain:1", "team/child:1", lines=STEPS)
    torch_step = parent_of(host, child)
    plain_step = parent_of(host, torch_step)
    assert parent_of(host, plain_step) == base
    with host.agent():
        host.await_gone(torch_step)
        host.evict_a_control_image()
        decided = collector.await_event("decision", torch_step)
        collector.await_event("outcome", torch_step)
    assert {row["Id"] for row in host.engine.images()} == {base, plain_step}
    assert (decided["data"]["reason"], decided["data"]["image"]["references"]) == ("dangling", [])
    first, second = collector.events("outcome")[:2]
    assert [first["subject"], second["subject"]] == [child, torch_step]


@engines.ON_BOTH_ENDS
def test_a_step_that_a_container_used_within_its_ttl_stays_when_the_last_image_of_its_build_is_evicted(
    lone_host: RealHost,
) -> None:
    host = lone_host
    short = {"match": "*", "ttl": "1s", "local_images": "evict"}
    host.configure(images=BY_WHAT_THEY_SAY, policy={"ttl": "15s", "local_images": "keep", "rules": [short]})
    host.plain("team/plain:1")
    child = images.build_child(host.engine, "team/plain:1", "team/child:1", lines=STEPS)
    step = parent_of(host, child)
    host.output_of("pause")
    with host.agent():
        proc.eventually(lambda: host.row(step)["reason"] == "dangling")
        images.run(host.engine, step, rm=True)
        host.output_of("resume")
        host.await_gone(child)
        host.evict_a_control_image()
        assert host.row(step)["reason"] == "local-only"


def test_an_image_made_by_docker_commit_stays_when_the_last_image_built_on_it_is_evicted(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(policy={"local_images": "keep", "rules": [{"match": "*", "local_images": "evict"}]})
    host.torch("team/base:1")
    work = images.create(host.engine, "team/base:1", "touch", "/work")
    commit = host.engine.docker("commit", work)
    host.engine.docker("rm", work)
    child = images.build_child(host.engine, commit, "team/child:1")
    with host.agent():
        host.await_gone(child)
        host.evict_a_control_image()
        assert host.row(commit)["reason"] == "local-only"


def test_without_a_name_what_a_build_made_is_evicted_after_dangling_after_and_what_docker_commit_made_stays(
    lone_host: RealHost,
) -> None:
    host = lone_host
    host.configure(policy={"local_images": "keep", "rules": [{"match": "control/*", "local_images": "evict"}]})
    host.configure(cleanup={"dangling_after": "1s"})
    host.torch("team/base:1")
    commit = host.engine.docker("commit", images.create(host.engine, "team/base:1"))
    built = host.engine.docker("build", "--quiet", "-", stdin=b"FROM team/base:1\nENV A=1")
    for container in host.engine.containers():
        host.engine.docker("rm", container["Id"])
    with host.agent():
        host.await_gone(built)
        host.evict_a_control_image()
        assert host.row(commit)["reason"] == "local-only"


def test_an_idle_parent_stays_for_a_child_that_stays_and_is_evicted_after_it(lone_host: RealHost) -> None:
    host = lone_host
    parent = host.torch("team/base:1")
    child = images.build_child(host.engine, "team/base:1", "team/child:1")
    container = images.create(host.engine, "team/child:1")
    with host.agent():
        host.evict_a_control_image()
        assert host.reasons() == {"team/base:1": "has-children", "team/child:1": "in-use"}
        host.engine.docker("rm", container)
        host.await_gone(child)
        host.await_gone(parent)


def test_a_parent_is_evicted_and_its_buildkit_child_still_runs(lone_host: RealHost) -> None:
    host = lone_host
    parent = host.torch("team/base:1")
    images.build_child(host.engine, "team/base:1", "team/child:1", classic=False)
    images.create(host.engine, "team/child:1")
    with host.agent():
        host.await_gone(parent)
        host.evict_a_control_image()
    assert images.run(host.engine, "team/child:1", "echo", "alive", rm=True) == "alive"
