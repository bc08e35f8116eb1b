"""Which row is blamed for the end of a connection, and how much it takes."""

from agent.reporting.poison import BREAKS, DOUBT, MOST_DOUBT, STEADY_AFTER, PoisonDetector

WINDOW = 5


def make_detector() -> PoisonDetector:
    return PoisonDetector(WINDOW)


def until_aside(detector: PoisonDetector, seq: int) -> int:
    """How many connections must end over a row until it is set aside."""
    return next(count for count in range(1, 100_000) if detector.record_disconnect(seq))


def test_a_row_is_set_aside_after_so_many_breaks_in_a_row() -> None:
    detector = make_detector()
    assert [detector.record_disconnect(7) for _ in range(BREAKS)] == [0] * (BREAKS - 1) + [BREAKS]


def test_a_break_over_another_row_begins_the_count_again() -> None:
    detector = make_detector()
    assert [detector.record_disconnect(seq) for seq in (7, 7, 7, 7, 3, 7, 7, 7, 7)] == [0] * 9
    assert detector.record_disconnect(7) == BREAKS


def test_a_row_that_is_answered_is_no_suspect_any_more() -> None:
    for taken in (True, False):
        detector = make_detector()
        for _ in range(BREAKS - 1):
            detector.record_disconnect(7)
        detector.record_reply(7, taken=taken)
        assert not detector.needs_stable_connection
        assert detector.record_disconnect(7) == 0


def test_an_answer_to_another_row_clears_no_suspect() -> None:
    detector = make_detector()
    for _ in range(BREAKS - 1):
        detector.record_disconnect(7)
        detector.record_reply(6, taken=True)
    assert detector.record_disconnect(7) == BREAKS


def test_a_row_that_a_broker_took_before_is_doubted_less_easily() -> None:
    detector = make_detector()
    detector.record_reply(7, taken=True)
    assert until_aside(detector, 7) == BREAKS * DOUBT
    assert until_aside(make_detector(), 8) == BREAKS


def test_where_no_row_at_all_is_taken_each_further_one_takes_ever_more() -> None:
    detector = make_detector()
    takes = [until_aside(detector, seq) for seq in range(1, 6)]
    most = BREAKS * DOUBT**MOST_DOUBT
    assert takes == [BREAKS, BREAKS * DOUBT, BREAKS * DOUBT**2, most, most]
    detector.record_reply(6, taken=True)
    assert until_aside(detector, 7) == BREAKS


def test_a_refusal_is_no_sign_that_rows_are_taken() -> None:
    detector = make_detector()
    until_aside(detector, 1)
    detector.record_reply(2, taken=False)
    assert until_aside(detector, 3) == BREAKS * DOUBT


def test_rows_from_the_suspect_on_fly_alone_for_a_window() -> None:
    detector = make_detector()
    assert not detector.must_isolate(7)
    detector.record_disconnect(7)
    assert [detector.must_isolate(seq) for seq in (6, 7, 8)] == [False, True, True]
    for seq in range(6, 7 + WINDOW):
        assert detector.must_isolate(seq) is (seq >= 7)
        detector.record_reply(seq, taken=True)
    assert not detector.must_isolate(7 + WINDOW)


def test_a_connection_has_to_prove_itself_only_once_several_ended_over_one_row() -> None:
    detector = make_detector()
    assert not detector.needs_stable_connection
    for count in range(1, STEADY_AFTER + 1):
        detector.record_disconnect(7)
        assert detector.needs_stable_connection is (count >= STEADY_AFTER)
