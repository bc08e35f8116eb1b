"""What each reason carries."""

import pickle

import pytest

from agent.core.policy.decision import Reason


def test_the_reasons_that_evict_are_these() -> None:
    assert [reason for reason in Reason if reason.evicts] == [Reason.DANGLING, Reason.DISK_PRESSURE, Reason.IDLE_TTL]


def test_the_reasons_that_end_by_time_alone_are_these() -> None:
    assert [reason for reason in Reason if reason.pending] == [Reason.MIN_AGE, Reason.GAP, Reason.RECENT]


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_its_text_everywhere(reason: Reason) -> None:
    assert (str(reason), f"{reason}", Reason.of(reason.value)) == (reason.value, reason.value, reason)
    assert pickle.loads(pickle.dumps(reason)) is reason


def test_a_reason_of_a_newer_agent_is_not_known() -> None:
    assert Reason.of("moon-phase") is None
