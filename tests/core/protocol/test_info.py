"""The info says whether the host is paused, or that it is not known."""

import json

import pytest

from agent.core.protocol import payloads
from tests.support.messages import make_info
from tests.support.times import HOUR, START


@pytest.mark.parametrize(
    ("pause", "expected"),
    [
        (None, False),
        (payloads.Pause(until=None, reason=""), True),
        (payloads.Pause(until=START + HOUR, reason="incident 4711"), True),
        (payloads.Pause(until=START, reason=""), False),
    ],
)
def test_a_host_is_paused_until_its_pause_ends(pause: payloads.Pause | None, expected: bool) -> None:
    info = payloads.decode(payloads.Info, make_info(paused=pause).encode())
    assert info is not None
    assert (info.paused, info.is_paused(START)) == (pause, expected)


def test_an_older_agent_does_not_say_whether_it_is_paused() -> None:
    document = json.loads(make_info().encode())
    del document["paused"]
    info = payloads.decode(payloads.Info, json.dumps(document))
    assert info is not None
    assert info.is_paused(START) is None
