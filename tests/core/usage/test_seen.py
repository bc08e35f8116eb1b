"""Which events are known, and which of them were on disk before."""

from agent.core.usage.events import EngineEvent
from agent.core.usage.seen import REMEMBERED, SeenEvents


def event(time_ns: int = 100, action: str = "create") -> EngineEvent:
    return EngineEvent(time_ns, "container", action, "c1")


def begun(old_ns: int = 0) -> SeenEvents:
    seen = SeenEvents()
    seen.begin(old_ns)
    return seen


def test_an_event_is_known_from_when_it_is_applied() -> None:
    seen = begun()
    before = seen.unknown([event(), event(action="start")])
    seen.add(event())
    assert (before, seen.unknown(before)) == ([event(), event(action="start")], [event(action="start")])


def test_an_event_is_a_replay_only_once_its_changes_are_on_disk() -> None:
    seen = begun()
    seen.add(event())
    applied = seen.is_replay(event())
    assert (applied, seen.confirm(), seen.is_replay(event())) == (False, [event()], True)


def test_each_event_is_confirmed_once() -> None:
    seen = begun()
    seen.add(event())
    seen.confirm()
    seen.add(event())
    assert seen.confirm() == []


def test_until_this_process_has_written_anything_the_time_shows_a_replay() -> None:
    seen = begun(old_ns=100)
    assert (seen.is_replay(event(100)), seen.is_replay(event(101))) == (True, False)
    seen.add(event(101))
    seen.confirm()
    assert (seen.is_replay(event(100)), seen.is_replay(event(101))) == (False, True)


def test_after_a_step_back_of_the_clock_an_earlier_time_is_new() -> None:
    seen = begun(old_ns=100)
    seen.step_back(50)
    assert (seen.is_replay(event(50)), seen.is_replay(event(51))) == (True, False)
    seen.step_back(200)
    assert not seen.is_replay(event(51))


def test_at_a_new_connection_what_was_not_written_is_unknown() -> None:
    seen = begun()
    seen.add(event(1))
    seen.confirm()
    seen.add(event(2))
    seen.begin(1)
    assert seen.unknown([event(1), event(2)]) == [event(2)]


def test_only_the_last_written_events_are_remembered() -> None:
    seen = begun()
    for number in range(REMEMBERED + 1):
        seen.add(event(number))
    seen.confirm()
    assert seen.unknown([event(0), event(1)]) == [event(0)]
