"""Each transition of the event stream's state, and what it does to `proven`."""

import asyncio
from collections.abc import Callable

import pytest

from agent.tracking.stream_state import StreamState
from tests.support.fakes.stalls import FakeStallDetector


@pytest.fixture
def stalls() -> FakeStallDetector:
    return FakeStallDetector()


@pytest.fixture
def stream(stalls: FakeStallDetector) -> StreamState:
    """A stream that is proven."""
    state = StreamState(asyncio.Event(), stalls)
    state.begin()
    state.open()
    state.catch_up()
    return state


def test_a_stream_that_is_read_and_caught_up_is_proven_and_ready(stream: StreamState) -> None:
    assert (stream.proven, stream.ready.is_set(), stream.trusted) == (True, True, True)


def test_a_stream_that_is_read_and_not_caught_up_is_not_proven() -> None:
    state = StreamState(asyncio.Event(), FakeStallDetector())
    state.begin()
    state.open()
    assert (state.proven, state.ready.is_set()) == (False, False)


def test_a_stream_that_ended_before_it_was_caught_up_is_not_proven_by_it() -> None:
    state = StreamState(asyncio.Event(), FakeStallDetector())
    state.begin()
    state.open()
    state.close(ended_by_engine=True)
    state.catch_up()
    assert (state.proven, state.ready.is_set(), state.caught_up) == (False, False, True)


@pytest.mark.parametrize(
    "act",
    [StreamState.close, StreamState.suspend, StreamState.begin, lambda stream: stream.lose("it lost 2 events")],
    ids=["close", "suspend", "begin", "lose"],
)
def test_whatever_ends_the_proof_takes_readiness_with_it(
    stream: StreamState, act: Callable[[StreamState], object]
) -> None:
    act(stream)
    assert (stream.proven, stream.trusted, stream.ready.is_set()) == (False, False, False)


def test_an_engine_that_answers_again_is_proven_again(stream: StreamState) -> None:
    stream.suspend()
    stream.resume()
    assert (stream.proven, stream.ready.is_set()) == (True, True)


def test_an_engine_that_answers_again_after_its_stream_ended_is_not_proven(stream: StreamState) -> None:
    stream.suspend()
    stream.close()
    stream.resume()
    assert (stream.proven, stream.ready.is_set()) == (False, False)


def test_a_stream_that_lost_events_is_not_proven_again_by_an_answer(stream: StreamState) -> None:
    stream.lose("it lost 2 events")
    stream.suspend()
    stream.resume()
    assert (stream.proven, stream.lost.is_set(), str(stream.loss)) == (False, True, "it lost 2 events")


def test_a_new_stream_forgets_what_the_last_one_lost(stream: StreamState) -> None:
    stream.lose("it lost 2 events")
    stream.begin()
    stream.open()
    stream.catch_up()
    assert (stream.proven, stream.lost.is_set()) == (True, False)


def test_who_ended_the_stream_is_known_until_the_next_one_opens(stream: StreamState) -> None:
    stream.close(ended_by_engine=True)
    stream.close()
    assert (stream.ended_by_engine, stream.caught_up) == (True, True)
    stream.begin()
    stream.open()
    assert (stream.ended_by_engine, stream.caught_up) == (False, False)


def test_a_stall_takes_the_trust_and_not_the_proof(stream: StreamState, stalls: FakeStallDetector) -> None:
    stalls.noticed.set()
    assert (stream.proven, stream.ready.is_set(), stream.trusted) == (True, True, False)
