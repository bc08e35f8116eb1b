"""torch in an image's layers: an image without it stays, and `explain --look-inside` reads one on request."""

import contextlib
import subprocess

import pytest

from agent.adapters import inside_journal
from agent.core.usage import look_inside
from tests.acceptance.host import RealHost
from tests.support import images, proc, torch_file

ON_GRAPH_DRIVERS = pytest.mark.parametrize("kind", ["20.10", "current"], indirect=True, scope="session")
TORCH = {"Env": ["PYTORCH_VERSION=2.4.0"], "Cmd": ["true"]}
FILE = f"/{torch_file.PLACE}"


@ON_GRAPH_DRIVERS
def test_an_image_without_torch_stays_whatever_it_says_and_the_others_are_evicted(lone_host: RealHost) -> None:
    host = lone_host
    kept = images.load_image(host.engine, "team/claims:1", TORCH, ["RUN pip install torch"], layers=[{"own": b"1"}])
    with host.agent():
        gone = host.torch("team/torch:2.4.0")
        host.await_gone(gone)
        host.evict_a_control_image()
        document = host.json("explain", "team/claims:1")
    assert (host.has_image(kept), document["class"], document["reason"], document["torch_version"]) == (
        True,
        "ambiguous",
        "ambiguous",
        None,
    )
    assert document["evidence"][-1] == "no torch/version.py in its layers, whatever its names and history show"
    decision = host.events(gone)[0]["data"]
    assert f"layer 1: {FILE} is of torch 2.4.0" in decision["evidence"]
    assert host.checks()[1]["layers"]["detail"] == f"read below {host.engine.folder}/data/overlay2"


@ON_GRAPH_DRIVERS
def test_without_the_probe_of_layers_names_and_history_decide_alone(lone_host: RealHost) -> None:
    lone_host.configure(images={"probe_layers": False}, policy={"ttl": "1h"})
    images.load_image(lone_host.engine, "team/claims:1", TORCH, layers=[{"own": b"1"}])
    assert lone_host.row(images.image_id(lone_host.engine, "team/claims:1"))["class"] == "pytorch"
    assert "probe_layers is false" in lone_host.checks()[1]["layers"]["detail"]


@pytest.mark.direct
def test_a_look_inside_beside_an_agent_finds_torch_is_not_a_use_and_leaves_nothing(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(policy={"ttl": "1h"})
    image = host.torch("team/torch:2.4.0")
    with host.agent():
        document = host.json("explain", "team/torch:2.4.0", "--look-inside")
        printed = host.output_of("explain", "team/torch:2.4.0", "--look-inside")
        images.run(host.engine, "team/torch:2.4.0", rm=True, name="last")  # earlier events are read with this one
        proc.eventually(lambda: host.row(image)["last_used"])
        uses = host.json("explain", "team/torch:2.4.0")["uses"]
    assert document["inside"]["found"] == [{"path": FILE, "torch_version": "2.4.0", "accelerator": None}]
    assert f"inside {FILE} is of torch 2.4.0" in printed
    assert {use["by"] for use in uses} == {"last"}, uses
    assert left(host) == []


@pytest.mark.direct
def test_a_look_inside_that_finds_nothing_says_that_this_proves_nothing(lone_host: RealHost) -> None:
    lone_host.plain("team/web:1")
    assert lone_host.json("explain", "team/web:1")["inside"] is None
    assert lone_host.json("explain", "team/web:1", "--look-inside")["inside"]["found"] == []
    assert "so this proves nothing" in lone_host.output_of("explain", "team/web:1", "--look-inside")


@pytest.mark.direct
def test_what_a_killed_look_left_is_removed_by_the_agent_and_is_not_a_use(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(policy={"ttl": "1h"})
    image = host.torch("team/torch:2.4.0", env={"PATH": ":".join(f"/{n}/bin" for n in range(500))})
    host.output_of("plan")
    kill_a_look(host)
    assert len(left(host)) == 1
    assert not inside_journal.is_empty(host.state)
    with host.agent():
        proc.eventually(lambda: left(host) == [])
        proc.eventually(lambda: inside_journal.is_empty(host.state))
        assert host.row(image)["last_used"] is None


def kill_a_look(host: RealHost) -> None:
    """SIGKILL a look once it has made its container."""
    argv = [*proc.command(), "explain", "team/torch:2.4.0", "--look-inside", "--config", str(host.config)]
    look = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        proc.eventually(lambda: left(host))
    finally:
        with contextlib.suppress(ProcessLookupError):
            look.kill()
        look.communicate()


def left(host: RealHost) -> list[str]:
    """The containers of looks that are there now."""
    return host.engine.docker("ps", "--all", "--quiet", f"--filter=label={look_inside.LABEL}").splitlines()
