"""Which images were evicted, and which of them a person means."""

from datetime import UTC, datetime, timedelta

from agent.core.policy.decision import Outcome
from agent.core.protocol import evicted, payloads
from agent.core.protocol.evicted import Evicted
from tests.support.builders import make_id

AT = datetime(2026, 3, 1, tzinfo=UTC)
OLD, NEW = make_id("old"), make_id("new")
DIGEST = f"sha256:{'d' * 64}"


def outcome(
    image_id: str, *references: str, hours: int = 0, origin: str | None = None, end: str = "removed"
) -> payloads.Event:
    image = payloads.ImageRef(id=image_id, references=list(references), size_bytes=1, origin=origin)
    data = payloads.OutcomeData(
        decision_id=f"{hours}", outcome=Outcome(end), image=image, measured_bytes=None, error=None
    )
    at = AT + timedelta(hours=hours)
    return payloads.event(host="h", epoch="e", seq=hours, kind=data.type, at=at, subject=image_id, data=data.stored())


def test_each_evicted_image_is_listed_once_as_of_its_last_eviction_the_latest_first() -> None:
    events = [
        outcome(OLD, "team/a:1", hours=0),
        outcome(NEW, "team/b:1", f"team/c@{DIGEST}", hours=1, origin=f"team/b@{DIGEST}"),
        outcome(OLD, "team/a:2", hours=2),
        outcome(make_id("refused"), "team/d:1", hours=3, end="refused"),
        outcome(make_id("observed"), "team/e:1", hours=4, end="would-remove"),
    ]
    found = evicted.images(events)
    assert found == (
        Evicted(OLD, ("team/a:2",), None, AT + timedelta(hours=2)),
        Evicted(NEW, ("team/b:1", f"team/c@{DIGEST}"), f"team/b@{DIGEST}", AT + timedelta(hours=1)),
    )
    assert found[1].tags == ("team/b:1",)


def test_a_person_means_an_image_by_a_name_an_id_a_digest_or_the_start_of_one() -> None:
    old = Evicted(OLD, ("team/a:latest",), None, AT)
    new = Evicted(NEW, ("reg.io/team/b:1",), f"reg.io/team/b@{DIGEST}", AT)
    for text, meant in {
        "team/a": (old,),
        "docker.io/team/a:latest": (old,),
        "reg.io/team/b:1": (new,),
        f"reg.io/team/b@{DIGEST}": (new,),
        NEW: (new,),
        NEW[7:19]: (new,),
        DIGEST: (new,),
        "dddd": (new,),
        "ddd": (),
        "team/b:1": (),
        "": (),
    }.items():
        assert evicted.meant(text, (old, new)) == meant, text


def test_a_name_that_several_evicted_images_had_means_all_of_them() -> None:
    both = tuple(Evicted(image, ("team/a:latest",), None, AT) for image in (OLD, NEW))
    assert evicted.meant("team/a:latest", both) == both
