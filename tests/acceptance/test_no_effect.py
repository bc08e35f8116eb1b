"""Settings without an effect are an error or an alert: patterns, pins by hand, a short clean-up time."""

import json

from tests.acceptance.collector import AcceptanceCollector
from tests.acceptance.host import NAME, RealHost
from tests.support import engines, overrides_by_hand, proc

pytestmark = engines.ON_ONE


# Patterns


def test_a_pattern_that_can_match_nothing_is_logged_and_an_alert_until_it_is_corrected(
    host: RealHost, collector: AcceptanceCollector
) -> None:
    host.configure(policy={"protect": ["latest"]})
    with host.agent():
        proc.eventually(lambda: collector.alerts(NAME) == {"pattern-matches-nothing"})
        alert = collector.read(f"{NAME}/alerts/pattern-matches-nothing")
    message = "policy.protect: 'latest' can match no image: it has no tag; write *:latest"
    assert (alert["message"], alert["severity"]) == (message, "warning")
    assert host.count_in_log(message) == 1
    code, found = host.checks()
    assert (code, found["configuration"]["ok"], found["configuration"]["hint"]) == (1, False, message)
    host.configure(policy={"protect": ["*:latest"]})
    with host.agent():
        proc.eventually(lambda: collector.alerts(NAME) == set())
    assert host.checks()[0] == 0


# Pins by hand


def write_pins(host: RealHost, *pins: dict[str, str]) -> None:
    host.state.mkdir(exist_ok=True)
    written = [{"at": "2026-03-01T12:00:00Z", **pin} for pin in pins]
    overrides_by_hand.path(host.state).write_text(json.dumps({"pins": written}))


def test_pins_written_by_hand_in_any_form_keep_their_images(lone_host: RealHost) -> None:
    host = lone_host
    ids = [host.torch(f"team/kept:{number}") for number in range(4)]
    write_pins(
        host,
        {"reference": " docker.io/team/kept:0"},
        {"id": ids[1].upper()},
        {"id": ids[2][7:]},
        {"id": ids[3][7:19]},
    )
    with host.agent():
        host.evict_a_control_image()
        assert host.reasons() == {f"team/kept:{number}": "pinned" for number in range(4)}
    code, found = host.checks()
    assert (code, found["pins"]["detail"]) == (0, "4 pinned")
    assert host.output_of("unpin", ids[3]) == f"unpinned {ids[3]}"
    assert host.output_of("unpin", "team/kept:0") == "unpinned team/kept:0"
    assert host.checks()[1]["pins"]["detail"] == "2 pinned"


def test_a_pin_by_hand_that_means_nothing_stops_every_eviction_and_is_named(
    host: RealHost, collector: AcceptanceCollector
) -> None:
    write_pins(host, {"reference": "team/kept:1"}, {"reference": "team/*"})
    image = host.torch("team/idle:1")
    with host.agent() as agent:
        proc.eventually(lambda: "holds-unreadable" in collector.alerts(NAME))
        alert = collector.read(f"{NAME}/alerts/holds-unreadable")
        proc.eventually(lambda: host.row(image)["held_by"] == "paused")  # once it is due
        code, found = host.checks()
        assert (agent.returncode(), host.has_image(image)) == (None, True)
        write_pins(host, {"reference": "team/kept:1"})
        host.await_gone(image)
    for text in (alert["message"], found["pins"]["detail"]):
        assert "pin 2 of 2, {" in text
        assert "reference: a pin names one image; write patterns into policy.protect" in text
    assert (code, found["pins"]["ok"], found["pins"]["hint"]) == (1, False, "correct that in the file")


def test_unpin_says_what_still_keeps_the_image(lone_host: RealHost) -> None:
    image = lone_host.torch("team/kept:1")
    lone_host.output_of("pin", "team/kept:1")
    lone_host.output_of("pin", image)
    done = lone_host.run("unpin", "team/kept:1")
    assert (done.returncode, f"a pin on {image[7:19]} still keeps this image" in done.stderr) == (0, True)
    assert lone_host.reasons() == {"team/kept:1": "pinned"}


def test_the_start_of_two_pinned_ids_unpins_neither(lone_host: RealHost) -> None:
    ids = [f"{number:064x}" for number in (1, 2)]
    write_pins(lone_host, *({"id": one} for one in ids))
    done = lone_host.run("unpin", "0000000000")
    assert (done.returncode, "'0000000000' is ambiguous" in done.stderr) == (1, True)
    assert lone_host.checks()[1]["pins"]["detail"].startswith("2 pinned")


# A clean-up time shorter than a build


def test_check_notes_a_dangling_after_that_is_shorter_than_a_build(lone_host: RealHost) -> None:
    lone_host.configure(cleanup={"dangling_after": "10m"})
    code, found = lone_host.checks()
    assert (code, found["cleanup"]["ok"]) == (0, True)
    assert "cleanup.dangling_after is 10m" in found["cleanup"]["detail"]
    assert found["cleanup"]["hint"] == "set it to more than the longest build takes, at least 1h"
    lone_host.configure(cleanup={"dangling_after": "1h"})
    assert "cleanup" not in lone_host.checks()[1]
