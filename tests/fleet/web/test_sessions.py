"""Sessions and wrong tokens: bounded in number and in time."""

import pytest

from agent.fleet.web import sessions
from agent.fleet.web.access import Visitor
from agent.fleet.web.sessions import LASTS, MOST_WRONG, WRONG_WITHIN, Sessions, WrongTokens

ANNA = Visitor("anna", "viewer")


def test_a_session_lasts_twelve_hours() -> None:
    known = Sessions()
    session = known.begin(ANNA, 0)
    assert (known.visitor(session, LASTS - 1), known.visitor(session, LASTS)) == (ANNA, None)
    assert known.visitor(session, 0) is None


def test_a_session_that_ended_or_never_was_stands_for_nobody() -> None:
    known = Sessions()
    session = known.begin(ANNA, 0)
    known.end(session)
    known.end(None)
    assert [known.visitor(each, 0) for each in (session, "", None, "guess")] == [None] * 4


def test_two_sessions_are_never_the_same() -> None:
    known = Sessions()
    assert known.begin(ANNA, 0) != known.begin(ANNA, 0)


def test_the_oldest_session_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 2)
    known = Sessions()
    first, second, third = (known.begin(ANNA, 0) for _ in range(3))
    assert [known.visitor(each, 0) for each in (first, second, third)] == [None, ANNA, ANNA]


def test_a_peer_waits_until_the_first_of_ten_wrong_tokens_is_a_minute_ago() -> None:
    wrong = WrongTokens()
    for second in range(MOST_WRONG):
        assert wrong.wait("10.0.0.1", second) == 0
        wrong.add("10.0.0.1", second)
    assert wrong.wait("10.0.0.1", MOST_WRONG) == WRONG_WITHIN - MOST_WRONG
    assert wrong.wait("10.0.0.1", WRONG_WITHIN) == 0
    assert wrong.wait("10.0.0.2", MOST_WRONG) == 0


@pytest.mark.parametrize(
    ("other", "waits"),
    [("2001:db8::2", True), ("2001:db8:0:0:ffff::1%eth0", True), ("2001:db8:0:1::1", False), ("::1", False)],
)
def test_the_addresses_of_one_ipv6_network_are_one_peer(other: str, waits: bool) -> None:
    wrong = WrongTokens()
    for _ in range(MOST_WRONG):
        wrong.add("2001:db8::1", 0)
    assert (wrong.wait(other, 1) > 0) == waits


def test_peers_that_tried_long_ago_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_PEERS", 1)
    wrong = WrongTokens()
    for _ in range(MOST_WRONG):
        wrong.add("10.0.0.1", 0)
    wrong.add("10.0.0.2", 1)
    assert wrong.wait("10.0.0.1", 1) == 0
