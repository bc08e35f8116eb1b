"""A decision or outcome in its shorter forms: smaller each time, still valid, and still saying what was decided."""

import json
from typing import Any

import pytest

from agent.core.protocol import payloads, shorten
from tests.support.messages import make_decision, make_outcome

LONG = "x" * 500
IMAGE = payloads.ImageRef(
    id="sha256:" + "1" * 64,
    references=[f"teamai/pytorch:{number}-{'y' * 100}" for number in range(40)],
    size_bytes=9,
    origin="teamai/pytorch@sha256:" + "2" * 64,
)
DECISION = make_decision(explanation=LONG, evidence=[LONG, LONG], image=IMAGE, last_used_by=LONG).encode()
OUTCOME = make_outcome(error=LONG, image=IMAGE, also_removed=IMAGE.references).encode()


def data_of(payload: bytes) -> dict[str, Any]:
    return dict(json.loads(payload)["data"])


@pytest.mark.parametrize("payload", [DECISION, OUTCOME])
def test_no_form_is_larger_than_the_one_before_and_the_last_is_small(payload: bytes) -> None:
    sizes = [len(shorten.shortened(payload, form)) for form in range(1, shorten.FORMS + 1)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 900 < len(payload)


@pytest.mark.parametrize(("payload", "model"), [(DECISION, payloads.DecisionData), (OUTCOME, payloads.OutcomeData)])
@pytest.mark.parametrize("form", range(1, shorten.FORMS + 1))
def test_every_form_is_a_valid_event_that_says_so_and_keeps_what_was_decided(
    payload: bytes, model: type[payloads.DecisionData | payloads.OutcomeData], form: int
) -> None:
    event = payloads.decode(payloads.Event, shorten.shortened(payload, form))
    whole = payloads.decode(payloads.Event, payload)
    assert event is not None
    assert whole is not None
    assert event.model_dump(exclude={"data"}) == whole.model_dump(exclude={"data"})
    cut, full = model.model_validate(event.data), model.model_validate(whole.data)
    texts = {"explanation", "evidence", "last_used_by", "error", "image", "also_removed", "shortened"}
    assert cut.model_dump(exclude=texts) == full.model_dump(exclude=texts)
    assert cut.image.id == full.image.id
    assert (cut.shortened, full.shortened) == (True, False)


def test_evidence_is_left_out_first_then_long_texts_then_most_references_then_all_texts() -> None:
    forms = [data_of(shorten.shortened(DECISION, form)) for form in range(shorten.FORMS + 1)]
    assert [len(data["evidence"]) for data in forms] == [2, 0, 0, 0, 0]
    assert [len(data["explanation"]) for data in forms] == [500, 500, shorten.TEXT, shorten.TEXT, 0]
    assert [len(data["image"]["references"]) for data in forms] == [40, 40, 40, shorten.REFERENCES, 0]


def test_the_whole_form_is_the_payload_itself() -> None:
    assert shorten.shortened(DECISION, 0) == DECISION


def test_an_event_with_less_in_it_than_usual_is_shortened_all_the_same() -> None:
    odd = payloads.Event(
        id="a/b/1", source="a", type="torchkeeper.decision", time="2026-03-01T12:00:00Z", data={"seq": 1}
    )
    assert data_of(shorten.shortened(odd.encode(), shorten.FORMS)) == {"seq": 1, "shortened": True}
