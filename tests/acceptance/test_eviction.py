"""Exactly the idle PyTorch images are evicted, and each eviction is reported before and after."""

from agent.core import units
from tests.acceptance.collector import AcceptanceCollector
from tests.acceptance.host import NAME, TTL, RealHost, now, seconds_between
from tests.support import engines, images, proc

SLEEP = ("sleep", "600")


def test_an_idle_pytorch_image_is_evicted_and_is_reported_before_and_after(
    host: RealHost, collector: AcceptanceCollector, kind: str
) -> None:
    ref = "acme/pytorch:2.4.0-cuda12.4"
    before = now()
    image = host.torch(ref, env={"CUDA_VERSION": "12.4.1"}, size_mb=3)
    size = next(row["Size"] for row in host.engine.images() if row["Id"] == image)
    layers = host.layer_bytes(image)
    with host.agent():
        host.await_gone(image)
        outcome, decision = collector.await_event("outcome", image), collector.await_event("decision", image)
    decided, result = decision["data"], outcome["data"]
    named = {
        "id": image,
        "references": [ref],
        "size_bytes": size,
        "torch_version": "2.4.0",
        "accelerator": "cuda12.4",
        "origin": None,
    }
    assert decision == {
        "specversion": "1.0",
        "id": f"{NAME}/{decided['epoch']}/{decided['seq']}",
        "source": f"torchkeeper/{NAME}",
        "type": "torchkeeper.decision",
        "time": decision["time"],
        "subject": image,
        "datacontenttype": "application/json",
        "data": decided,
    }
    assert outcome == decision | {
        "id": f"{NAME}/{result['epoch']}/{result['seq']}",
        "type": "torchkeeper.outcome",
        "time": outcome["time"],
        "data": result,
    }
    assert (decided["epoch"], decided["decision_id"]) == (result["epoch"], result["decision_id"])
    assert decided["seq"] < result["seq"]
    assert decision["time"] < host.last_event("delete", image=image) < outcome["time"]
    fixed = ("action", "reason", "mode", "held_by", "image", "last_used", "ttl_seconds", "estimated_bytes")
    assert {key: decided[key] for key in fixed} == {
        "action": "evict",
        "reason": "idle-ttl",
        "mode": "enforce",
        "held_by": None,
        "image": named,
        "last_used": None,
        "ttl_seconds": TTL,
        "estimated_bytes": layers,
    }
    assert TTL <= decided["idle_seconds"] <= seconds_between(before, decision["time"])
    assert decided["explanation"].startswith("idle ")
    about = "at least" if kind in engines.UNDERSTATES_BYTES else "about"
    assert decided["explanation"].endswith(f"; frees {about} {units.format_bytes(layers)}")
    assert "ENV PYTORCH_VERSION=2.4.0" in decided["evidence"]
    assert {key: result[key] for key in ("outcome", "image", "error")} == {
        "outcome": "removed",
        "image": named,
        "error": None,
    }
    assert isinstance(result["measured_bytes"], int)


def test_exactly_the_idle_pytorch_images_are_evicted(lone_host: RealHost) -> None:
    host = lone_host
    kept = {
        host.torch("used/running:1"): "in-use",
        host.torch("used/exited:1"): "in-use",
        host.torch("used/created:1"): "in-use",
        host.plain("team/web:1"): "not-pytorch",
        host.plain("team/torch-docs:1"): "ambiguous",
    }
    idle = [host.torch("team/idle:1"), host.torch("team/idle:2")]
    running = images.run(host.engine, "used/running:1", *SLEEP, detach=True)
    images.run(host.engine, "used/exited:1")
    images.create(host.engine, "used/created:1")
    with host.agent():
        for image in idle:
            host.await_gone(image)
        host.evict_a_control_image()
        planned = {image["id"]: image["reason"] for image in host.json("plan")["images"]}
    assert planned == kept
    assert {row["Id"] for row in host.engine.images()} == set(kept)
    states = {row["Id"]: row["State"] for row in host.engine.containers()}
    assert states[running] == "running"
    assert sorted(states.values()) == ["created", "exited", "running"]


def test_an_image_is_evicted_a_ttl_after_its_last_container_went(lone_host: RealHost) -> None:
    host = lone_host
    image = host.torch("team/train:1")
    container = images.run(host.engine, image, *SLEEP, detach=True)
    with host.agent():
        host.evict_a_control_image()
        assert host.has_image(image)
        host.engine.docker("rm", "--force", container)
        host.await_gone(image)
        proc.eventually(lambda: len(host.events(image)) == 2)
    decision = host.events(image)[0]["data"]
    assert decision["last_used"] == host.last_event("destroy", container=container)
    assert seconds_between(decision["last_used"], host.last_event("delete", image=image)) >= TTL


def test_a_multi_tag_image_is_removed_whole_or_not_at_all(host: RealHost, collector: AcceptanceCollector) -> None:
    tags = ["one/a:1", "one/b:2", "two/c:3"]
    image = host.torch(tags[0], extra_refs=tags[1:])
    container = images.create(host.engine, "one/b:2")
    with host.agent():
        host.evict_a_control_image()
        assert host.engine.references() == set(tags)
        host.engine.docker("rm", container)
        host.await_gone(image)
        outcome = collector.await_event("outcome", image)
    assert host.engine.references() == set()
    assert (outcome["data"]["outcome"], outcome["data"]["image"]["references"]) == ("removed", tags)
    assert [event["data"]["outcome"] for event in collector.events("outcome", image)] == ["removed"]
