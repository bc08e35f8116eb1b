"""The pages in `docs/` name what there is: commands, reasons, alerts, keys, tests, files."""

import re
from pathlib import Path

import pytest
import typer.main

from agent import cli
from agent.adapters import overrides
from agent.config import loading, reference, sections, settings
from agent.config.settings import ConfigError
from agent.core.policy.decision import HeldBy, Reason
from agent.core.protocol.alerts import AlertId
from agent.core.pytorch import bounds
from agent.fleet import extra
from agent.fleet.live import conditions
from agent.fleet.web import access_rules, openapi, routes
from tests.support import overrides_by_hand

ROOT = Path(__file__).parent.parent.parent
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}


def first_column(table: str) -> list[str]:
    """The texts in backticks in the first column of each row."""
    cells = re.findall(r"(?m)^\| ([^|]+) \|", table)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page: str) -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", PAGES[page])
    assert [target for target in targets if not (ROOT / "docs" / target).exists()] == []


def test_the_index_lists_every_page() -> None:
    assert {"index.md", *re.findall(r"\]\(([\w-]+\.md)\)", PAGES["index.md"])} == set(PAGES)


def test_the_reference_of_the_configuration_is_the_one_that_make_docs_generates() -> None:
    default_file = (ROOT / "config/torchkeeper.toml").read_text()
    assert PAGES["configuration.md"] == reference.markdown(settings.schema(), default_file)


def test_a_key_without_a_comment_in_the_default_file_is_refused() -> None:
    with pytest.raises(ValueError, match=r"agent\.host has no comment"):
        reference.markdown(settings.schema(), "")


def test_the_commands_are_those_of_the_program() -> None:
    known = set(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]
    table = PAGES["commands.md"].split("| command |")[1].split("\n\n")[0]
    assert {name.split()[0] for name in first_column(table)} == known


def test_the_pin_is_one_that_is_read(tmp_path: Path) -> None:
    overrides_by_hand.path(tmp_path).write_text(PAGES["commands.md"].split("```json\n")[1].split("```")[0])
    assert [pin.reference for pin in overrides.load(tmp_path).pins] == ["team/pytorch:2.9-cuda12.8"]


def test_every_reason_is_explained_in_its_order() -> None:
    part = PAGES["decisions.md"].split("## The reasons")[1].split("An eviction that is due can wait")[0]
    assert first_column(part) == [reason.value for reason in Reason]


def test_everything_that_delays_an_eviction_is_explained() -> None:
    part = PAGES["decisions.md"].split("as `held_by`: ")[1].split("\n\n")[0]
    assert set(re.findall(r"`([a-z-]+)`", part)) == {held.value for held in HeldBy}


def test_every_alert_is_explained() -> None:
    agents, monitors = PAGES["alerts.md"].split("The monitor raises two more alerts")
    assert sorted(first_column(agents)) == sorted(AlertId)
    assert set(re.findall(r"`([a-z-]+)`", monitors)) == {conditions.SAME_NAME, conditions.SAME_AGENT}


def test_the_critical_alerts_are_those_that_the_code_raises_as_critical() -> None:
    code = "".join(path.read_text() for path in (ROOT / "agent").rglob("*.py"))
    raised = {AlertId[name] for name in re.findall(r'AlertId\.([A-Z_]+),[^()]*(?:\([^()]*\)[^()]*)*"critical"', code)}
    marked = set(re.findall(r"(?m)^\| `([a-z-]+)` \(critical\)", PAGES["alerts.md"]))
    assert raised <= marked <= set(AlertId)


def test_each_promise_names_tests_that_there_are() -> None:
    code = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", PAGES["promises.md"])
    assert [name for name in named if f"def {name}(" not in code] == []
    assert re.findall(r"(?m)^(\d+)\. ", PAGES["promises.md"]) == [str(n) for n in range(1, 12)]


def test_what_is_said_of_images_that_cannot_be_judged_is_so() -> None:
    paragraph = PAGES["recognition.md"].split("An image that cannot be read or judged")[1].split("\n\n")[0]
    assert re.findall(r"`([a-z-]+)`", paragraph) == [Reason.UNKNOWN, AlertId.IMAGE_UNREADABLE, Reason.AMBIGUOUS]
    assert re.findall(r"(\d+) kB", paragraph) == [str(most // 1000) for most in (bounds.HISTORY, bounds.ENV)]


def test_the_configuration_of_a_monitor_works(tmp_path: Path) -> None:
    path, token = tmp_path / "c.toml", tmp_path / "viewer"
    token.write_text("0123456789abcdef" * 4)
    text = PAGES["monitor.md"].split("```toml\n")[1].split("```")[0]
    path.write_text(text.replace("/run/secrets/viewer", str(token)))
    loaded = loading.load(path)
    assert (loaded.monitor.auth.mode, loaded.mqtt.username) == ("token", "torchkeeper-monitor")
    assert access_rules.load(loaded.monitor).mode == "token"


def test_the_address_of_the_page_and_the_headers_are_those_of_the_monitor() -> None:
    page, auth = PAGES["monitor.md"], sections.MonitorAuth()
    assert f"open http://{sections.Monitor().listen}" in page
    assert extra.INSTALL in page
    assert {f"`{auth.user_header}`", f"`{auth.groups_header}`", "`trusted_proxies`"} <= set(
        re.findall(r"`[A-Za-z_-]+`", page)
    )


def test_a_monitor_that_is_open_on_another_address_is_refused_as_it_says() -> None:
    with pytest.raises(ConfigError, match="would show the fleet to everybody"):
        access_rules.load(sections.Monitor(listen="0.0.0.0:9478"))


def test_the_number_of_hosts_from_which_a_broker_may_drop_messages_is_the_one_in_force() -> None:
    from agent.cli import fleet

    assert f"With more than {fleet.MANY} hosts set" in PAGES["monitor.md"]


def test_the_paths_of_the_api_are_there() -> None:
    named = set(re.findall(r"`(/(?:api|metrics|healthz)[a-z/.]*)`", PAGES["monitor.md"]))
    assert named == {"/api/hosts", "/api/decisions", "/api/openapi.json", "/metrics", "/healthz"}
    assert named <= set(openapi.document(routes.ALL, "0")["paths"])
