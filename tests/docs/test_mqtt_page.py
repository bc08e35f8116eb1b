"""`docs/mqtt.md` states what holds of topics, rights, brokers and bounds."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path

from agent.config import sections
from agent.core.protocol.alerts import AlertId

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/mqtt.md").read_text()


def test_its_acl_is_the_one_that_is_tested() -> None:
    from tests.support import mosquitto

    claimed = set(re.findall(r"(?m)^    ((?:pattern|topic) .*)$", PAGE))
    assert claimed
    assert claimed <= set(mosquitto.ACL.splitlines())


def test_the_brokers_that_it_names_are_those_of_the_suite() -> None:
    from tests.interop.brokers import KINDS

    claimed = PAGE.split("- Tested on ")[1].split(". ")[0]
    assert claimed == "mosquitto with 5 and with 3.1.1, and on NATS with JetStream"
    assert set(KINDS) == {"mosquitto", "mosquitto with 3.1.1", "NATS"}


def test_it_names_every_alert_about_the_broker() -> None:
    part = PAGE.split("An alert shows each problem")[1].split("For a large fleet")[0]
    named = [name for line in re.findall(r"(?m)^- ((?:`[a-z-]+`(?:, )?)+):", part) for name in line.split(", ")]
    assert sorted(name.strip("`") for name in named) == sorted(_alerts_of("agent/reporting"))


def _alerts_of(folder: str) -> set[AlertId]:
    """The alerts that the modules of a folder name."""
    code = "".join(path.read_text() for path in (ROOT / folder).glob("*.py"))
    return {AlertId[name] for name in re.findall(r"AlertId\.([A-Z_]+)", code)}


def test_its_bounds_on_what_a_broker_may_send_are_the_ones_in_force() -> None:
    from agent.adapters import broker as broker_contract
    from agent.adapters.mqtt import incoming

    bounds = re.search(r"a packet over (\d+) kB or more than (\d+) MB", PAGE)
    assert bounds
    assert (int(bounds[1]) * 1024, int(bounds[2]) * 1_000_000) == (
        broker_contract.LARGEST_INCOMING,
        incoming.MAX_UNSOLICITED,
    )


def test_its_settings_for_a_large_fleet_are_settings() -> None:
    text = re.search(r"For a large fleet set `(.*?)`, `(.*?)` and `(.*?)`", PAGE)
    assert text
    mqtt = sections.Mqtt.model_validate(tomllib.loads("\n".join(text.groups())))
    assert (mqtt.keepalive, mqtt.inventory_every, mqtt.compress) == (
        timedelta(seconds=60),
        timedelta(seconds=60),
        True,
    )
