"""Which row is blamed for the end of a connection, and how much it takes."""

from agent.reporting.poison import BREAKS, DOUBT, MOST_DOUBT, STEADY_AFTER, PoisonDetector

WINDOW = 5


def make_suspicion() -> PoisonDetector:
    return PoisonDetector(WINDOW)


def until_aside(suspicion: PoisonDetector, seq: int) -> int:
    """How many connections must end over a row until it is set aside."""
    return next(count for count in range(1, 100_000) if suspicion.record_disconnect(seq))


def test_a_row_is_set_aside_after_so_many_breaks_in_a_row() -> None:
    suspicion = make_suspicion()
    assert [suspicion.record_disconnect(7) for _ in range(BREAKS)] == [0] * (BREAKS - 1) + [BREAKS]


def test_a_break_over_another_row_begins_the_count_again() -> None:
    suspicion = make_suspicion()
    assert [suspicion.record_disconnect(seq) for seq in (7, 7, 7, 7, 3, 7, 7, 7, 7)] == [0] * 9
    assert suspicion.record_disconnect(7) == BREAKS


def test_a_row_that_is_answered_is_not_suspected_any_more() -> None:
    for taken in (True, False):
        suspicion = make_suspicion()
        for _ in range(BREAKS - 1):
            suspicion.record_disconnect(7)
        suspicion.record_reply(7, taken=taken)
        assert not suspicion.needs_stable_connection
        assert suspicion.record_disconnect(7) == 0


def test_an_answer_to_another_row_clears_no_suspect() -> None:
    suspicion = make_suspicion()
    for _ in range(BREAKS - 1):
        suspicion.record_disconnect(7)
        suspicion.record_reply(6, taken=True)
    assert suspicion.record_disconnect(7) == BREAKS


def test_a_row_that_a_broker_took_before_is_doubted_less_easily() -> None:
    suspicion = make_suspicion()
    suspicion.record_reply(7, taken=True)
    assert until_aside(suspicion, 7) == BREAKS * DOUBT
    assert until_aside(make_suspicion(), 8) == BREAKS


def test_where_no_row_at_all_is_taken_each_further_one_takes_ever_more() -> None:
    suspicion = make_suspicion()
    takes = [until_aside(suspicion, seq) for seq in range(1, 6)]
    most = BREAKS * DOUBT**MOST_DOUBT
    assert takes == [BREAKS, BREAKS * DOUBT, BREAKS * DOUBT**2, most, most]
    suspicion.record_reply(6, taken=True)
    assert until_aside(suspicion, 7) == BREAKS


def test_a_refusal_is_not_a_sign_that_rows_are_taken() -> None:
    suspicion = make_suspicion()
    until_aside(suspicion, 1)
    suspicion.record_reply(2, taken=False)
    assert until_aside(suspicion, 3) == BREAKS * DOUBT


def test_rows_from_the_suspect_on_fly_alone_for_a_window() -> None:
    suspicion = make_suspicion()
    assert not suspicion.must_isolate(7)
    suspicion.record_disconnect(7)
    assert [suspicion.must_isolate(seq) for seq in (6, 7, 8)] == [False, True, True]
    for seq in range(6, 7 + WINDOW):
        assert suspicion.must_isolate(seq) is (seq >= 7)
        suspicion.record_reply(seq, taken=True)
    assert not suspicion.must_isolate(7 + WINDOW)


def test_a_connection_has_to_prove_itself_only_once_several_ended_over_one_row() -> None:
    suspicion = make_suspicion()
    assert not suspicion.needs_stable_connection
    for count in range(1, STEADY_AFTER + 1):
        suspicion.record_disconnect(7)
        assert suspicion.needs_stable_connection is (count >= STEADY_AFTER)
