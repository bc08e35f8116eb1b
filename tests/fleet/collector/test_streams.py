"""Which numbers have arrived: in any order, again, after kills and restored copies, within bounds."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.fleet.collector import streams
from agent.fleet.collector.batch import StreamState

LAST = 30
ROOM = 4
NUMBERS = st.integers(1, LAST)


def taken(*numbers: int, state: StreamState = StreamState()) -> StreamState:  # noqa: B008 - it is frozen
    for number in numbers:
        state, _ = streams.take(state, number)
    return state


def test_the_watermark_stays_below_the_first_number_that_has_not_arrived() -> None:
    assert taken(1, 2, 5, 9) == StreamState(2, ((3, 4), (6, 8)), 9)
    assert taken(1, 2, 5, 9, 4, 3) == StreamState(5, ((6, 8),), 9)
    assert taken(1, 2, 5, 9, 4, 3, 7) == StreamState(5, ((6, 6), (8, 8)), 9)
    assert taken(3, 2, 1) == StreamState(3, (), 3)


def test_a_number_that_arrived_before_is_a_duplicate_and_changes_nothing() -> None:
    state = taken(1, 2, 5)
    assert [streams.take(state, number) for number in (1, 2, 5)] == [(state, "duplicate")] * 3
    assert streams.take(state, 4) == (StreamState(2, ((3, 3),), 5), "new")


def test_numbers_that_will_never_be_sent_count_as_arrived() -> None:
    state = taken(1, 5)
    assert streams.take_ranges(state, [(2, 3)]) == (StreamState(3, ((4, 4),), 5), ((2, 3),))
    assert streams.take_ranges(state, [(2, 9)]) == (StreamState(9, (), 9), ((2, 9),))
    assert streams.take_ranges(state, [(8, 9), (2, 4)]) == (StreamState(5, ((6, 7),), 9), ((2, 4), (8, 9)))


@pytest.mark.parametrize("invalid", [(3, 2), (0, 4), (-5, -1), (2, 2**63)])
def test_an_invalid_range_changes_nothing(invalid: tuple[int, int]) -> None:
    assert streams.take_ranges(taken(1, 5), [invalid]) == (taken(1, 5), ())


def test_a_number_far_ahead_opens_one_range() -> None:
    assert streams.take(StreamState(), 10**18) == (StreamState(0, ((1, 10**18 - 1),), 10**18), "new")


def test_a_number_that_opens_a_range_is_not_taken_without_room_but_one_at_an_edge_is() -> None:
    state = taken(1, 3, 5, 9)  # 2, 4 and 6 to 8 are missing
    assert streams.take(state, 11, room=0) == (state, "no-room")
    assert streams.take(state, 7, room=0) == (state, "no-room")
    assert streams.take(state, 6, room=0) == (StreamState(1, ((2, 2), (4, 4), (7, 8)), 9), "new")
    assert streams.take(state, 10, room=0)[1] == "new"
    assert streams.take(state, 11, room=1)[1] == "new"


def test_of_many_dropped_ranges_those_next_to_the_watermark_are_taken_first() -> None:
    state = taken(1, 3)
    ranges = [(2, 2), (5, 5), (7, 7), (9, 9)]
    assert streams.take_ranges(state, ranges, room=1) == (StreamState(3, ((4, 4), (6, 6)), 7), ((2, 2), (5, 5), (7, 7)))


@pytest.mark.parametrize("dropped", [range(3, 3000, 3), ()])
def test_a_host_with_more_holes_than_there_is_room_gets_to_its_end_by_sending_again(dropped: range) -> None:
    state, end = StreamState(), 3001
    ranges = [(number, number) for number in dropped]
    rounds = 0
    while state.contiguous < end:
        rounds += 1
        before = state.contiguous
        for number in range(before + 1, end):
            if number not in dropped:
                state, _ = streams.take(state, number, 10 - len(state.missing))
        state, _ = streams.take_ranges(state, ranges, 10 - len(state.missing))
        state, _ = streams.take(state, end, 10 - len(state.missing))
        assert state.contiguous > before
        assert len(state.missing) <= 10
    assert state == StreamState(end, (), end)
    assert rounds <= 120


class Deliveries(RuleBasedStateMachine):
    """Numbers in any order, commits, kills and restored copies, against sets of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.memory, self.arrived = StreamState(), frozenset[int]()
        self.disk = (self.memory, self.arrived)
        self.copies = [self.disk]

    @rule(number=NUMBERS)
    def deliver(self, number: int) -> None:
        known = number in self.arrived
        self.memory, what = streams.take(self.memory, number, ROOM - len(self.memory.missing))
        assert (what == "duplicate") == known
        if what == "new":
            self.arrived |= {number}

    @rule(ranges=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=4))
    def drop(self, ranges: list[tuple[int, int]]) -> None:
        room = ROOM - len(self.memory.missing)
        self.memory, accepted = streams.take_ranges(self.memory, ranges, room)
        assert set(accepted) <= set(ranges)
        self.arrived |= {number for first, last in accepted for number in range(first, last + 1)}

    @rule()
    def commit(self) -> None:
        self.disk = (self.memory, self.arrived)

    @rule()
    def kill(self) -> None:
        self.memory, self.arrived = self.disk

    @rule()
    def copy(self) -> None:
        self.copies.append(self.disk)

    @precondition(lambda self: len(self.copies) > 1)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        self.disk = data.draw(st.sampled_from(self.copies))
        self.kill()

    @invariant()
    def the_watermark_is_where_the_first_hole_begins(self) -> None:
        first_hole = next(number for number in range(1, LAST + 2) if number not in self.arrived)
        assert self.memory.contiguous == first_hole - 1

    @invariant()
    def the_state_says_of_each_number_whether_it_has_arrived(self) -> None:
        assert {number for number in range(1, LAST + 2) if streams.has(self.memory, number)} == self.arrived

    @invariant()
    def the_ranges_are_few_ascending_and_apart(self) -> None:
        edges = [edge for lo, hi in self.memory.missing for edge in (lo, hi + 1)]
        assert edges == sorted(set(edges))
        assert len(self.memory.missing) <= ROOM
        assert self.memory.highest == max(self.arrived, default=0)

    def teardown(self) -> None:
        """When everything is sent again in order, each number that had not arrived is new, and the end is reached."""
        for number in range(1, LAST + 1):
            self.deliver(number)
        assert self.memory == StreamState(LAST, (), LAST)


TestDeliveries = Deliveries.TestCase
