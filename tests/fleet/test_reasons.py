"""What holds images, in words."""

from agent.core.policy.decision import HeldBy, Reason
from agent.fleet import reasons
from agent.fleet.reasons import Holding


def test_every_reason_and_everything_that_holds_an_eviction_has_words() -> None:
    assert set(reasons.HOLDING) == {*Reason, *HeldBy}


def test_every_reason_that_keeps_an_image_and_all_that_holds_an_eviction_has_a_way_out() -> None:
    without = {key for key, holding in reasons.HOLDING.items() if not holding.way_out}
    assert without == {reason for reason in Reason if reason.evicts}


def test_a_reason_of_a_newer_agent_is_shown_as_it_is() -> None:
    assert reasons.holding("of-2030") == Holding("are kept: of-2030")
