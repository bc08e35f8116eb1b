"""Images from strangers on a real engine: each is kept and named where it cannot be judged, and the others go."""

import pytest

from tests.acceptance.collector import AcceptanceCollector
from tests.acceptance.host import NAME, RealHost
from tests.support import engines, images, proc

TORCH = ["PYTORCH_VERSION=2.9.0"]
ODD = "\x1b[31mred\x9b2J\u202e\n[bold]b[/bold]\0"
MB = 1_000_000  # bytes
LONG = "RUN torch" + ";" * MB  # of one line; more than is read of a history
TOO_LONG = "RUN torch" + ";" * 5 * MB  # more than is taken from the engine


def test_a_label_that_no_duration_can_hold_stops_nothing(host: RealHost, collector: AcceptanceCollector) -> None:
    image = host.torch("team/odd:1", labels={"torchkeeper.ttl": "999999999w"})
    with host.agent():
        host.let_one_go()
        row = collector.await_image(NAME, image, lambda item: item["reason"] == "label-keep")
        found = host.reasons()
    assert row["warnings"][0] == "label torchkeeper.ttl: '999999999w' is longer than 100 years"
    assert found["team/odd:1"] == "label-keep"
    assert host.has(image)


@engines.ON_ONE
@pytest.mark.timeout(400)  # seconds; fourteen commands, one after the other
def test_every_command_shows_a_host_of_hostile_images(lone_host: RealHost) -> None:
    host, engine = lone_host, lone_host.engine
    labels = {"torchkeeper.ttl": "999999999w", "x": ODD, "torchkeeper.keep": ODD * 1000}
    made = {
        "team/labels:1": images.load_image(engine, "team/labels:1", {"Env": TORCH, "Labels": labels}),
        "team/env:1": images.load_image(engine, "team/env:1", {"Env": [*TORCH, f"PYTORCH_HOME={ODD}"], "Cmd": [ODD]}),
        "team/long:1": images.load_image(engine, "team/long:1", {"Env": TORCH}, [LONG]),
        "team/longer:1": images.load_image(engine, "team/longer:1", {"Env": TORCH}, [TOO_LONG]),
        "team/lines:1": images.load_image(engine, "team/lines:1", {"Env": TORCH}, ["RUN pip install torch"] * 3000),
    }
    expected = {
        "team/labels:1": "label-keep",
        "team/env:1": "recent",
        "team/long:1": "ambiguous",
        "team/longer:1": "unknown",
        "team/lines:1": "unknown",
    }
    host.configure(policy={"ttl": "1h"})
    assert host.reasons() == expected
    commands = ["plan", "plan --json", "images", "lint --json", "check", "sweep --dry-run"]
    for command in [*commands, *(f"explain {name}" for name in made)]:
        done = host.run(*command.split())
        assert done.returncode == 0, done.stdout + done.stderr
        assert all(char.isprintable() or char == "\n" for char in done.stdout + done.stderr)
    assert "the engine's answer about it has more than 4194304 bytes" in host.say("explain", "team/longer:1")
    assert "it has 3001 lines of history, and more than 2000 are not read" in host.say("explain", "team/lines:1")
    assert "its history cannot be read completely: too long" in host.say("explain", "team/long:1")


@engines.ON_ONE
def test_the_agent_names_what_it_cannot_judge_and_goes_on(host: RealHost, collector: AcceptanceCollector) -> None:
    longer = images.load_image(host.engine, "team/longer:1", {"Env": TORCH}, [TOO_LONG])
    with host.agent():
        host.let_one_go()
        proc.eventually(lambda: collector.alerts(NAME) == {"image-unreadable"})
        assert (
            "team/longer:1 (the engine's answer about it has more than"
            in collector.read(f"{NAME}/alerts/image-unreadable")["message"]
        )
        collector.await_image(NAME, longer, lambda item: item["reason"] == "unknown")
    host.engine.docker("rmi", "team/longer:1")
    with host.agent():  # a new process clears what an earlier one raised
        proc.eventually(lambda: collector.alerts(NAME) == set())
