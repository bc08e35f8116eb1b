"""The dashboards have what Grafana needs, and Prometheus understands each of their questions."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.deployment.files import CONFIG, ROOT, fetched, run, yaml_of

GRAFANA = CONFIG / "grafana"
DASHBOARDS = sorted(path.name for path in (GRAFANA / "dashboards").glob("*.json"))
SCHEMA = json.loads((ROOT / "tests/deployment/grafana.schema.json").read_text())


def dashboard(name: str) -> Any:
    return json.loads((GRAFANA / "dashboards" / name).read_text())


def questions(name: str) -> list[str]:
    return [target["expr"] for panel in dashboard(name)["panels"] for target in panel.get("targets", ())]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_has_what_grafana_needs(name: str) -> None:
    jsonschema.validate(dashboard(name), SCHEMA)
    assert dashboard(name)["uid"] == f"torchkeeper-{name.removesuffix('.json')}"


def test_a_dashboard_with_a_datasource_of_its_own_fails_that_test() -> None:
    wrong = dashboard(DASHBOARDS[0])
    wrong["panels"][0]["datasource"]["uid"] = "prometheus"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_panel_has_the_number_or_the_place_of_another(name: str) -> None:
    panels = dashboard(name)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert [place for place in places if place["x"] + place["w"] > 24] == []
    assert [pair for pair in combinations(places, 2) if overlap(*pair)] == []


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )


def test_prometheus_understands_each_question(tmp_path: Path) -> None:
    asked = [question for name in DASHBOARDS for question in questions(name)]
    rules = tmp_path / "rules.yml"  # JSON is YAML, too
    rules.write_text(
        json.dumps(
            {"groups": [{"name": "panels", "rules": [
                {"record": f"panel:{number}", "expr": question.replace("$instance", ".*")}
                for number, question in enumerate(asked)
            ]}]}
        )
    )  # fmt: skip
    assert f"{len(asked)} rules found" in run(fetched("promtool"), "check", "rules", rules)


def test_the_dashboard_of_the_hosts_asks_agents_only_and_that_of_the_fleet_the_monitor_where_both_have_the_name() -> (
    None
):
    assert [question for question in questions("hosts.json") if 'job="torchkeeper"' not in question] == []
    both = ("torchkeeper_freed_bytes_total", "torchkeeper_evictions_total", "torchkeeper_regrets_total")
    shared = [question for question in questions("fleet.json") if any(name in question for name in both)]
    assert len(shared) >= len(both)
    assert [question for question in shared if 'job="torchkeeper-monitor"' not in question] == []


def test_grafana_finds_the_dashboards_and_prometheus_where_the_centre_has_them() -> None:
    services = yaml_of(CONFIG / "compose/centre.yaml")["services"]
    [provider] = yaml_of(GRAFANA / "provisioning/dashboards/torchkeeper.yaml")["providers"]
    [source] = yaml_of(GRAFANA / "provisioning/datasources/torchkeeper.yaml")["datasources"]
    assert f"../grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]
    assert source["url"] == "http://prometheus:9090"
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/fleet.json"
