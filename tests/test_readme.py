"""The README shows what the program prints, and names what there is."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer.main
from rich.console import Console, RenderableType

from agent import cli
from agent.adapters import overrides
from agent.cli import tables
from agent.config import loading, sections
from agent.config.settings import ConfigError
from agent.core.model import Image
from agent.core.policy.decision import Plan, Reason
from agent.core.policy.settings import Policy, Rule
from agent.core.protocol.alerts import AlertId
from agent.core.pytorch import bounds
from agent.fleet import extra
from agent.fleet.web import access_rules, openapi, routes
from tests.support.builders import NOW, container_of, decide, idle_usage, pulled_image, pytorch_image

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MB = 1_000_000


def blocks() -> dict[str, str]:
    """Command -> what the README says that it prints."""
    shown = re.search(r"(?ms)^    \$ torchkeeper plan.*?(?=^\S)", README)
    assert shown
    text = re.sub(r"(?m)^    ", "", shown[0])
    parts = re.split(r"(?m)^\$ torchkeeper (\w+)\n", text)[1:]
    return {name: body.strip("\n") for name, body in zip(parts[::2], parts[1::2], strict=True)}


def printed(content: RenderableType) -> str:
    console = Console(width=80, force_terminal=False, highlight=False)
    with console.capture() as capture:
        console.print(content)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def example() -> Plan:
    """The host that the README shows."""

    def torch(name: str, reference: str, version: str, cuda: str, size: int, **more: Any) -> Image:
        env = {"PYTORCH_VERSION": version, **({"CUDA_VERSION": cuda} if cuda else {})}
        return pytorch_image(name, reference, env=env, layers={f"sha256:{name}": size * MB}, **more)

    shared = {"sha256:cuda": 4600 * MB}
    idle = pytorch_image(
        "idle",
        "teamai/pytorch:2.7-cuda11.8",
        env={"PYTORCH_VERSION": "2.7.1", "CUDA_VERSION": "11.8.0"},
        layers={**shared, "sha256:idle": 4900 * MB},
    )
    used = pytorch_image(
        "used",
        "teamai/pytorch:2.9-cuda11.8",
        env={"PYTORCH_VERSION": "2.9.0", "CUDA_VERSION": "11.8.0"},
        layers={**shared, "sha256:used": 5000 * MB},
    )
    local = torch("local", "lab/finetune:exp7", "2.8.0", "", 6100, origin=None)
    latest = torch("latest", "teamai/pytorch:latest", "2.10.0", "12.8.1", 9900)
    ngc = torch("ngc", "nvcr.io/nvidia/pytorch:25.10-py3", "2.9.0a0", "13.0.2", 20_300)
    ollama = pulled_image("ollama", "ollama/ollama:0.12", layers={"sha256:o": 3200 * MB})
    postgres = pulled_image("postgres", "postgres:16", layers={"sha256:p": 440 * MB})
    here = (idle, used, local, latest, ngc, ollama, postgres)
    ago = (15.125, 3, 40, 20, 15.5, 50.1, 50)  # days since the last use
    return decide(
        *here,
        usages=tuple(idle_usage(item, last_used=NOW - timedelta(days=n)) for item, n in zip(here, ago, strict=True)),
        containers=(container_of(used, "llm-train-3", "running"),),
        rules=Policy(rules=(Rule(match="nvcr.io/nvidia/pytorch:*", ttl=timedelta(days=30)),)),
    )


def test_the_plan_that_it_shows_is_what_plan_prints() -> None:
    assert blocks()["plan"] == printed(tables.plan(example()))


def test_the_images_that_it_shows_are_what_images_prints() -> None:
    assert blocks()["images"] == printed(tables.images(example()))


def test_it_names_every_command() -> None:
    known = set(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"`(\w+)(?: [^`]*)?`", "".join(_first_column())))
    assert named == known


def _first_column() -> list[str]:
    table = README.split("| command |")[1].split("\n\n")[0]
    return [line.split("|")[1] for line in table.splitlines()[2:]]


def test_it_names_every_reason_in_its_order() -> None:
    part = README.split("An image is kept for the first of these reasons")[1].split("An untagged build step")[0]
    assert re.findall(r"`([a-z-]+)`", part) == [reason.value for reason in Reason]


def test_what_it_says_of_images_that_cannot_be_judged_is_so() -> None:
    paragraph = README.split("An image that cannot be read or judged")[1].split("\n\n")[0]
    assert re.findall(r"`([a-z-]+)`", paragraph) == [Reason.UNKNOWN, AlertId.IMAGE_UNREADABLE, Reason.AMBIGUOUS]
    assert re.findall(r"(\d+) kB", paragraph) == [str(most // 1000) for most in (bounds.HISTORY, bounds.ENV)]


def test_its_configuration_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = README.split("```toml\n")[1].split("```")[0]
    path = tmp_path / "c.toml"
    path.write_text(text)
    settings = loading.load(path)
    assert (settings.policy.ttl, settings.agent.mode) == (timedelta(days=14), "observe")
    assert set(tomllib.loads(text)) == {"agent", "mqtt", "images", "policy"}


def test_its_configuration_of_a_monitor_works(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    token = tmp_path / "viewer"
    token.write_text("0123456789abcdef" * 4)
    path.write_text(README.split("```toml\n")[2].split("```")[0].replace("/run/secrets/viewer", str(token)))
    settings = loading.load(path)
    assert (settings.monitor.auth.mode, settings.mqtt.username) == ("token", "torchkeeper-monitor")
    assert access_rules.load(settings.monitor).mode == "token"


def test_the_address_of_the_page_and_the_packages_are_those_of_the_monitor() -> None:
    section = README.split("\n## The monitor\n")[1].split("\n## ")[0]
    assert f"open http://{sections.Monitor().listen}" in section
    assert extra.INSTALL in section
    assert "`trusted_proxies`" in section
    assert {f"`{sections.MonitorAuth().user_header}`", f"`{sections.MonitorAuth().groups_header}`"} <= set(
        re.findall(r"`[A-Za-z-]+`", section)
    )


def test_a_monitor_that_is_open_on_another_address_is_refused_as_it_says() -> None:
    with pytest.raises(ConfigError, match="would show the fleet to everybody"):
        access_rules.load(sections.Monitor(listen="0.0.0.0:9478"))


def test_the_number_of_hosts_from_which_a_broker_may_drop_messages_is_the_one_in_force() -> None:
    from agent.cli import fleet

    assert f"With more than {fleet.MANY} hosts set" in README


def test_the_paths_of_the_api_that_it_names_are_there() -> None:
    named = set(re.findall(r"`(/(?:api|metrics|healthz)[a-z/.]*)`", README))
    document = openapi.document(routes.ALL, "0")
    assert named == {"/api/hosts", "/api/decisions", "/api/openapi.json", "/metrics", "/healthz"}
    assert named <= set(document["paths"])


def test_its_pin_is_one_that_is_read(tmp_path: Path) -> None:
    (tmp_path / overrides.FILE).write_text(README.split("```json\n")[1].split("```")[0])
    assert [pin.reference for pin in overrides.load(tmp_path).pins] == ["team/pytorch:2.9-cuda12.8"]


def test_its_acl_is_the_one_that_is_tested() -> None:
    from tests.support import mosquitto

    claimed = set(re.findall(r"(?m)^    ((?:pattern|topic) .*)$", README))
    assert claimed <= set(mosquitto.ACL.splitlines())


def test_the_brokers_that_it_names_are_those_of_the_suite() -> None:
    from tests.interop.brokers import KINDS

    claimed = README.split("- Tested on ")[1].split(". ")[0]
    assert claimed == "mosquitto with 5 and with 3.1.1, and on NATS with JetStream"
    assert set(KINDS) == {"mosquitto", "mosquitto with 3.1.1", "NATS"}


def test_it_names_every_alert_about_the_broker() -> None:
    part = README.split("An alert shows each problem")[1].split("For a large fleet")[0]
    named = [name for line in re.findall(r"(?m)^- ((?:`[a-z-]+`(?:, )?)+):", part) for name in line.split(", ")]
    assert sorted(name.strip("`") for name in named) == sorted(_alerts_of("agent/reporting"))


def _alerts_of(folder: str) -> set[AlertId]:
    """The alerts that the modules of a folder name."""
    code = "".join(path.read_text() for path in (ROOT / folder).glob("*.py"))
    return {AlertId[name] for name in re.findall(r"AlertId\.([A-Z_]+)", code)}


def test_its_bounds_on_what_a_broker_may_send_are_the_ones_in_force() -> None:
    from agent.adapters import broker as broker_contract
    from agent.adapters.mqtt import incoming

    kilobytes, megabytes = re.search(r"a packet over (\d+) kB or more than (\d+) MB", README).groups()  # type: ignore[union-attr]
    assert (int(kilobytes) * 1024, int(megabytes) * 1_000_000) == (
        broker_contract.LARGEST_INCOMING,
        incoming.MAX_UNSOLICITED,
    )


def test_its_settings_for_a_large_fleet_are_settings() -> None:
    text = re.search(r"For a large fleet set `(.*?)`, `(.*?)` and `(.*?)`", README)
    assert text
    mqtt = sections.Mqtt.model_validate(tomllib.loads("\n".join(text.groups())))
    assert (mqtt.keepalive, mqtt.inventory_every, mqtt.compress) == (
        timedelta(seconds=60),
        timedelta(seconds=60),
        True,
    )


def test_what_it_links_to_is_there() -> None:
    assert all((ROOT / target).exists() for target in re.findall(r"\]\(([^)#:]+)\)", README))
