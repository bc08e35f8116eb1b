"""What an inventory says of an image: nothing that moves by the mere passing of time, but where it is to go."""

from datetime import timedelta

from agent.core.policy.decision import Plan
from agent.core.protocol import inventory, new_events, payloads
from tests.core.builders import NOW, container, decide, pytorch_image, usage

DAY = timedelta(days=1)


def published(plan: Plan) -> payloads.InventoryImage:
    """The only image of a plan, as its inventory has it."""
    (only,) = inventory.build(plan, "gpu-07", payloads.Disk(), ()).images
    return only


def test_an_image_that_stays_has_no_sentence_and_one_that_goes_has() -> None:
    here = pytorch_image("a", "teamai/pytorch:1")
    stays = decide(here, usages=(usage(here, last_used=NOW - 3 * DAY),))
    goes = decide(here, usages=(usage(here, last_used=NOW - 15 * DAY),))
    assert (published(stays).action, published(stays).explanation) == ("keep", "")
    assert published(goes).action == "evict"
    assert published(goes).explanation.startswith("idle 15 d, TTL 14 d")


def test_an_image_that_stays_is_the_same_a_day_later() -> None:
    here = pytorch_image("a", "teamai/pytorch:1")
    today, tomorrow = (
        published(decide(here, usages=(usage(here, last_used=NOW - 3 * DAY),), now=NOW + later))
        for later in (0 * DAY, DAY)
    )
    assert today.encode() == tomorrow.encode()


def test_an_image_that_runs_shows_its_last_recorded_use_and_no_deadline() -> None:
    here = pytorch_image("a", "teamai/pytorch:1")
    used = usage(here, last_used=NOW - 3 * DAY)
    today, tomorrow = (
        published(decide(here, usages=(used,), containers=(container(here, "train", "running"),), now=NOW + later))
        for later in (0 * DAY, DAY)
    )
    assert today.encode() == tomorrow.encode()
    assert (today.running, today.last_used, today.idle_since, today.deadline) == (True, NOW - 3 * DAY, None, None)


def test_the_commands_on_the_host_show_every_sentence_and_a_running_image_as_used_now() -> None:
    here = pytorch_image("a", "teamai/pytorch:1")
    (runs,) = decide(here, containers=(container(here, "train", "running"),)).decisions
    shown = new_events.inventory_image(runs)
    assert (shown.running, shown.last_used, shown.explanation) == (True, NOW, "container train (running) uses it")
