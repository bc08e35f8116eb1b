"""torch itself, in an image's layers: an image without it stays, and `explain --look-inside` looks by request."""

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
def test_an_image_without_torch_stays_whatever_it_says_and_the_others_go(lone_host: RealHost) -> None:
    host = lone_host
    kept = images.load_image(host.engine, "team/claims:1", TORCH, ["RUN pip install torch"], layers=[{"own": b"1"}])
    with host.agent():
        gone = host.torch("team/torch:2.4.0")
        host.await_gone(gone)
        host.let_one_go()
        told = host.json("explain", "team/claims:1")
    assert (host.has(kept), told["class"], told["reason"], told["torch_version"]) == (
        True,
        "ambiguous",
        "ambiguous",
        None,
    )
    assert told["evidence"][-1] == "no torch/version.py in its layers, whatever its names and history show"
    decision = host.events(gone)[0]["data"]
    assert f"layer 1: {FILE} is of torch 2.4.0" in decision["evidence"]
    assert host.checks()[1]["layers"]["detail"] == f"read below {host.engine.folder}/data/overlay2"


@ON_GRAPH_DRIVERS
def test_where_it_is_switched_off_names_and_history_decide_alone(lone_host: RealHost) -> None:
    lone_host.configure(images={"probe_layers": False}, policy={"ttl": "1h"})
    images.load_image(lone_host.engine, "team/claims:1", TORCH, layers=[{"own": b"1"}])
    assert lone_host.row(images.image_id(lone_host.engine, "team/claims:1"))["class"] == "pytorch"
    assert "probe_layers is false" in lone_host.checks()[1]["layers"]["detail"]


def test_a_look_inside_beside_an_agent_finds_torch_counts_as_no_use_and_leaves_nothing(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(policy={"ttl": "1h"})
    image = host.torch("team/torch:2.4.0")
    with host.agent():
        told = host.json("explain", "team/torch:2.4.0", "--look-inside")
        said = host.say("explain", "team/torch:2.4.0", "--look-inside")
        images.run(host.engine, "team/torch:2.4.0", rm=True, name="last")  # what was told before it is taken in with it
        proc.eventually(lambda: host.row(image)["last_used"])
        uses = host.json("explain", "team/torch:2.4.0")["uses"]
    assert told["inside"]["found"] == [{"path": FILE, "torch_version": "2.4.0", "accelerator": None}]
    assert f"inside {FILE} is of torch 2.4.0" in said
    assert {use["by"] for use in uses} == {"last"}, uses
    assert left(host) == []


def test_a_look_inside_that_finds_nothing_says_that_this_proves_nothing(lone_host: RealHost) -> None:
    lone_host.plain("team/web:1")
    assert lone_host.json("explain", "team/web:1")["inside"] is None
    assert lone_host.json("explain", "team/web:1", "--look-inside")["inside"]["found"] == []
    assert "so this proves nothing" in lone_host.say("explain", "team/web:1", "--look-inside")


def test_what_a_killed_look_left_is_removed_by_the_agent_and_was_no_use(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(policy={"ttl": "1h"})
    image = host.torch("team/torch:2.4.0", env={"PATH": ":".join(f"/{n}/bin" for n in range(500))})
    host.say("plan")
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
