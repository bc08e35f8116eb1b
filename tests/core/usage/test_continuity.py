"""Blind time: none where nothing can have been missed, and never less than the truth."""

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.core.usage.continuity import (
    BOOT_TO_ENGINE,
    RING_SIZE,
    BlindPeriod,
    Boot,
    Cursor,
    EngineDowntime,
    EventRing,
    after_downtime,
    anchored,
    blind_in_audit,
    blind_time,
    from_previous_process,
    make_ring,
)
from agent.core.usage.events import EngineEvent
from tests.support.builders import NOW
from tests.support.times import HOUR, MINUTE

KEY = (1, "container", "die", "c")
ALIVE = NOW - HOUR


def ring(**changes: object) -> EventRing:
    fields: dict[str, object] = {"at": NOW, "size": 3, "oldest": NOW - HOUR / 2, "keys": frozenset(), **changes}
    return EventRing(**fields)  # type: ignore[arg-type]


def cursor(**changes: object) -> Cursor:
    fields: dict[str, object] = {"time_ns": 1, "key": KEY, "alive_at": ALIVE, **changes}
    return Cursor(**fields)  # type: ignore[arg-type]


RESTARTED = "the engine restarted while nobody watched"
OVERRUN = "more happened than the engine remembers"
FULL = {"size": RING_SIZE}

CASES = [
    ("the very first start", cursor(alive_at=None, key=None), ring(), None),
    ("the last event is still there", cursor(), ring(keys=frozenset([KEY])), None),
    ("the last event is still in a full ring", cursor(), ring(keys=frozenset([KEY]), **FULL), None),
    ("the engine ended under our eyes", cursor(engine_ended=True), ring(), None),
    (
        "the engine ended under our eyes, and much happened since",
        cursor(engine_ended=True),
        ring(**FULL),
        BlindPeriod(ALIVE, NOW - HOUR / 2, OVERRUN),
    ),
    (
        "the engine restarted while the agent was away: before its first event at the latest",
        cursor(),
        ring(),
        BlindPeriod(ALIVE, NOW - HOUR / 2, RESTARTED),
    ),
    ("it restarted and did nothing", cursor(), ring(size=0, oldest=None), BlindPeriod(ALIVE, NOW, RESTARTED)),
    ("more happened than is remembered", cursor(), ring(**FULL), BlindPeriod(ALIVE, NOW - HOUR / 2, OVERRUN)),
    (
        "a full ring that reaches back to when the agent watched",
        cursor(),
        ring(oldest=ALIVE - timedelta(seconds=1), **FULL),
        None,
    ),
    (
        "no event was ever seen, and the engine remembers from before",
        cursor(key=None, time_ns=0),
        ring(oldest=ALIVE),
        None,
    ),
    (
        "no event was ever seen, and the engine remembers from after",
        cursor(key=None, time_ns=0),
        ring(),
        BlindPeriod(ALIVE, NOW - HOUR / 2, RESTARTED),
    ),
]

BOOT = Boot(id="b2", at=NOW - HOUR / 4)
UP = BOOT.at + BOOT_TO_ENGINE
SOON = Boot(id="b2", at=ALIVE + timedelta(minutes=10))
EMPTY = {"size": 0, "oldest": None}
BOOTS = [
    ("a crash of the machine", cursor(boot="b1"), BOOT, BlindPeriod(ALIVE, BOOT.at, RESTARTED)),
    (
        "a boot soon after the watch ended, without a record of the shutdown",
        cursor(boot="b1"),
        SOON,
        BlindPeriod(ALIVE, SOON.at, RESTARTED),
    ),
    (
        "a shutdown that was recorded",
        cursor(boot="b1"),
        replace(BOOT, shutdown=ALIVE + timedelta(seconds=5)),
        BlindPeriod(ALIVE, ALIVE + timedelta(seconds=5), RESTARTED),
    ),
    ("a shutdown at the last moment of the watch", cursor(boot="b1"), replace(BOOT, shutdown=ALIVE), None),
    (
        "a shutdown from before the watch says nothing",
        cursor(boot="b1"),
        replace(BOOT, shutdown=ALIVE - HOUR),
        BlindPeriod(ALIVE, BOOT.at, RESTARTED),
    ),
    (
        "the same boot: only the engine restarted",
        cursor(boot="b2"),
        BOOT,
        BlindPeriod(ALIVE, BOOT.at + BOOT_TO_ENGINE, RESTARTED),
    ),
    ("a boot that was not recorded", cursor(), BOOT, BlindPeriod(ALIVE, BOOT.at + BOOT_TO_ENGINE, RESTARTED)),
]


@pytest.mark.parametrize(("what", "before", "boot", "blind"), BOOTS, ids=[case[0] for case in BOOTS])
def test_blind_time_over_a_boot_after(what: str, before: Cursor, boot: Boot, blind: BlindPeriod | None) -> None:
    assert blind_time(before, ring(**EMPTY, at=boot.at + BOOT_TO_ENGINE), boot) == blind


def test_an_engine_that_remembers_only_from_long_after_the_boot_may_have_restarted_since() -> None:
    late = SOON.at + BOOT_TO_ENGINE + timedelta(seconds=1)
    assert blind_time(cursor(boot="b1"), ring(**EMPTY, at=late), SOON) == BlindPeriod(ALIVE, late, RESTARTED)


def test_a_boot_proves_nothing_about_a_ring_that_is_full() -> None:
    assert blind_time(cursor(boot="b1"), ring(**FULL), SOON) == BlindPeriod(ALIVE, NOW - HOUR / 2, OVERRUN)


@pytest.mark.parametrize(("what", "before", "after", "blind"), CASES, ids=[case[0] for case in CASES])
def test_blind_time_where(what: str, before: Cursor, after: EventRing, blind: BlindPeriod | None) -> None:
    assert blind_time(before, after) == blind


def test_a_ring_knows_its_oldest_row_of_any_type() -> None:
    event = EngineEvent(5_000_000_000, "container", "die", "c")
    read = make_ring([event], size=7, oldest_ns=3_000_000_000, at=NOW)
    assert (read.size, read.keys) == (7, frozenset([event.key]))
    assert read.oldest == EngineEvent(3_000_000_000, "", "", "").at


def test_an_empty_ring_has_no_oldest_row() -> None:
    assert make_ring([], size=0, oldest_ns=0, at=NOW).oldest is None


def looks(*found: tuple[int, bool]) -> EngineDowntime:
    """Looks at an engine, so many seconds after the end of the watch."""
    down = EngineDowntime(until=ALIVE)
    for seconds, gone in found:
        down = down.record_probe(ALIVE + timedelta(seconds=seconds), down=gone, tolerance=MINUTE)
    return down


DOWNTIMES = [
    ("found down again and again", looks((1, True), (61, True)), 61, True),
    ("never looked at", looks(), 0, False),
    ("looked at too late", looks((61, True)), 0, False),
    ("found up once", looks((1, True), (2, False), (3, True)), 1, False),
    ("not looked at for longer than the tolerance", looks((1, True), (62, True), (63, True)), 1, False),
    ("looked at before its end, by a clock that was set back", looks((-1, True)), 0, False),
]


@pytest.mark.parametrize(("what", "down", "until", "trusted"), DOWNTIMES, ids=[case[0] for case in DOWNTIMES])
def test_an_engine_is_known_to_be_down(what: str, down: EngineDowntime, until: int, trusted: bool) -> None:
    since = ALIVE + timedelta(seconds=until)
    soon = ring(size=0, oldest=None, at=since + MINUTE)
    assert after_downtime(cursor(), soon, down, MINUTE) == cursor(alive_at=since, engine_ended=trusted)


def test_what_came_later_than_the_tolerance_after_it_was_found_down_is_blind() -> None:
    late = ring(size=0, oldest=None, at=ALIVE + timedelta(seconds=62))
    assert after_downtime(cursor(), late, looks((1, True)), MINUTE) == cursor(alive_at=ALIVE + timedelta(seconds=1))


@pytest.mark.parametrize("down", [None, looks((1, True))], ids=["not seen", "seen down"])
def test_an_end_that_the_engine_contradicts_or_nobody_saw_does_not_count(down: EngineDowntime | None) -> None:
    older = ring(oldest=ALIVE + timedelta(seconds=1))
    assert after_downtime(cursor(engine_ended=True), older, down, MINUTE) == cursor()


@pytest.mark.parametrize("ended", [True, False])
def test_the_next_process_does_not_know_how_the_watch_ended(ended: bool) -> None:
    assert from_previous_process(cursor(engine_ended=ended)) == cursor()


# A stream that is still open

AUDITS = [
    ("the first watch", cursor(alive_at=None), ring(**FULL), None, None),
    ("the last event is still remembered", cursor(), ring(keys=frozenset([KEY]), **FULL), None, None),
    (
        "more happened in a stall than is remembered",
        cursor(),
        ring(**FULL),
        BlindPeriod(ALIVE, NOW - HOUR / 2, OVERRUN),
        BlindPeriod(ALIVE, NOW - HOUR / 2, OVERRUN),
    ),
    ("all that happened in a stall is remembered", cursor(), ring(oldest=ALIVE, **FULL), None, None),
    ("the engine forgot the last event", cursor(), ring(), None, BlindPeriod(ALIVE, NOW - HOUR / 2, RESTARTED)),
    ("the engine forgot everything", cursor(), ring(size=0, oldest=None), None, BlindPeriod(ALIVE, NOW, RESTARTED)),
    ("no event was ever seen", cursor(key=None), ring(size=0, oldest=None), None, None),
]


@pytest.mark.parametrize(("what", "before", "after", "direct", "proxied"), AUDITS, ids=[case[0] for case in AUDITS])
def test_blind_time_of_an_open_stream_after_a_stall(
    what: str, before: Cursor, after: EventRing, direct: BlindPeriod | None, proxied: BlindPeriod | None
) -> None:
    assert blind_in_audit(before, after, stalled=True, direct=True) == direct
    assert blind_in_audit(before, after, stalled=True, direct=False) == proxied


@pytest.mark.parametrize(("what", "before", "after", "direct", "proxied"), AUDITS, ids=[case[0] for case in AUDITS])
def test_an_engines_own_stream_brings_everything_to_a_process_that_runs_on_time(
    what: str, before: Cursor, after: EventRing, direct: BlindPeriod | None, proxied: BlindPeriod | None
) -> None:
    assert blind_in_audit(before, after, stalled=False, direct=True) is None
    assert blind_in_audit(before, after, stalled=False, direct=False) == proxied


def test_after_a_proof_the_cursor_is_at_an_event_that_the_engine_remembers() -> None:
    older, newer = (EngineEvent(time_ns, "container", "die", "c") for time_ns in (1, 2))
    assert anchored(cursor(), [older, newer]) == cursor()
    assert anchored(cursor(key=(0, "container", "die", "c")), [newer, older]) == cursor(key=newer.key, time_ns=2)
    assert anchored(cursor(), []) == cursor(key=None)
