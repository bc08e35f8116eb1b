"""Which row is blamed for the end of a connection, and how much it takes."""

from agent.reporting.poison import BREAKS, DOUBT, MOST_DOUBT, STEADY_AFTER, Suspicion

WINDOW = 5


def make_suspicion() -> Suspicion:
    return Suspicion(WINDOW)


def until_aside(suspicion: Suspicion, seq: int) -> int:
    """How many connections must end over a row until it is set aside."""
    return next(count for count in range(1, 100_000) if suspicion.broke(seq))


def test_a_row_is_set_aside_after_so_many_breaks_in_a_row() -> None:
    suspicion = make_suspicion()
    assert [suspicion.broke(7) for _ in range(BREAKS)] == [0] * (BREAKS - 1) + [BREAKS]


def test_a_break_over_another_row_begins_the_count_again() -> None:
    suspicion = make_suspicion()
    assert [suspicion.broke(seq) for seq in (7, 7, 7, 7, 3, 7, 7, 7, 7)] == [0] * 9
    assert suspicion.broke(7) == BREAKS


def test_a_row_that_is_answered_is_no_suspect_any_more() -> None:
    for taken in (True, False):
        suspicion = make_suspicion()
        for _ in range(BREAKS - 1):
            suspicion.broke(7)
        suspicion.answered(7, taken=taken)
        assert not suspicion.wants_proof
        assert suspicion.broke(7) == 0


def test_an_answer_to_another_row_clears_no_suspect() -> None:
    suspicion = make_suspicion()
    for _ in range(BREAKS - 1):
        suspicion.broke(7)
        suspicion.answered(6, taken=True)
    assert suspicion.broke(7) == BREAKS


def test_a_row_that_a_broker_took_before_is_doubted_less_easily() -> None:
    suspicion = make_suspicion()
    suspicion.answered(7, taken=True)
    assert until_aside(suspicion, 7) == BREAKS * DOUBT
    assert until_aside(make_suspicion(), 8) == BREAKS


def test_where_no_row_at_all_is_taken_each_further_one_takes_ever_more() -> None:
    suspicion = make_suspicion()
    takes = [until_aside(suspicion, seq) for seq in range(1, 6)]
    most = BREAKS * DOUBT**MOST_DOUBT
    assert takes == [BREAKS, BREAKS * DOUBT, BREAKS * DOUBT**2, most, most]
    suspicion.answered(6, taken=True)
    assert until_aside(suspicion, 7) == BREAKS


def test_a_refusal_is_no_sign_that_rows_are_taken() -> None:
    suspicion = make_suspicion()
    until_aside(suspicion, 1)
    suspicion.answered(2, taken=False)
    assert until_aside(suspicion, 3) == BREAKS * DOUBT


def test_rows_from_the_suspect_on_fly_alone_for_a_window() -> None:
    suspicion = make_suspicion()
    assert not suspicion.alone(7)
    suspicion.broke(7)
    assert [suspicion.alone(seq) for seq in (6, 7, 8)] == [False, True, True]
    for seq in range(6, 7 + WINDOW):
        assert suspicion.alone(seq) is (seq >= 7)
        suspicion.answered(seq, taken=True)
    assert not suspicion.alone(7 + WINDOW)


def test_a_connection_has_to_prove_itself_only_once_several_ended_over_one_row() -> None:
    suspicion = make_suspicion()
    assert not suspicion.wants_proof
    for count in range(1, STEADY_AFTER + 1):
        suspicion.broke(7)
        assert suspicion.wants_proof is (count >= STEADY_AFTER)
