"""An agent that was frozen by SIGSTOP or `docker pause` has lost no use when it continues, or records a gap."""

import signal

import pytest

from tests.acceptance.host import RealHost
from tests.support import proc
from tests.support.engines import ON_ONE

UNREAD = 1300  # events, of which the engine keeps about 1,190 for a reader that does not read


def overflow_the_stream(host: RealHost, image: str) -> None:
    """More events than the engine keeps for a reader that does not read: the quickest are tags."""
    for _ in range(UNREAD):
        host.engine.api("POST", f"/images/{image}/tag?repo=other/base&tag=again")


def come_and_go(host: RealHost, image: str) -> None:
    """A container of an image, created and removed."""
    made = host.engine.api("POST", "/containers/create", {"Image": image, "Cmd": ["true"]})[1]
    host.engine.api("DELETE", f"/containers/{made['Id']}")


@ON_ONE
@pytest.mark.timeout(300)
@pytest.mark.direct  # HAProxy reads ahead, so that the stream loses nothing here
def test_a_use_that_the_stream_lost_in_a_freeze_keeps_its_image(lone_host: RealHost) -> None:
    lone_host.configure(policy={"ttl": "8s"}, usage={"gap_tolerance": "0s"})
    other = lone_host.plain("other/base:1")
    idle = lone_host.torch("team/idle:1")
    used = lone_host.torch("team/used:1")
    with lone_host.agent() as agent:
        agent.stop_signal()
        overflow_the_stream(lone_host, other)
        come_and_go(lone_host, "team/used:1")
        last_use = lone_host.last_event("destroy", image="team/used:1")
        agent.cont_signal()
        proc.eventually(lambda: (lone_host.row(used)["last_used"] or "") >= last_use, 60)
        lone_host.await_gone(idle)
        lone_host.await_gone(used, 60)
    decided = next(e for e in lone_host.events(used) if e["type"] == "torchkeeper.decision")
    assert decided["data"]["last_used"] == last_use
    assert lone_host.count_in_log("the event stream lost") == 1
    assert any(e["type"] == "torchkeeper.gap" for e in lone_host.json("history")["events"])


@ON_ONE
def test_a_hangup_reloads_the_configuration_and_ends_nothing(lone_host: RealHost) -> None:
    """As when the terminal closes in which it was started, or a unit asks it to reload."""
    lone_host.configure(policy={"ttl": "1d"})
    with lone_host.agent() as agent:
        agent.send_signal(signal.SIGHUP)
        proc.eventually(lambda: lone_host.count_in_log("no setting in force has changed"))
        lone_host.configure(policy={"ttl": "1x"})
        agent.send_signal(signal.SIGHUP)
        proc.eventually(lambda: lone_host.count_in_log("alert=config-refused severity=warning state=began"))
        lone_host.configure(policy={"ttl": "1s"})  # noticed without a signal
        proc.eventually(lambda: lone_host.count_in_log("policy.ttl"))
        lone_host.await_gone(lone_host.torch("team/torch:1"))
