"""Prometheus' own tool accepts its configuration and the rules, and each rule fires when it should and only then."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.deployment.files import CONFIG, ROOT, fetched, run, yaml_of

PROMETHEUS = CONFIG / "prometheus"
UNIT_TESTS = ROOT / "tests/deployment/rules"
TEN = {
    "AgentDown",
    "NotWatching",
    "LosesEvents",
    "DiskFullNothingEvictable",
    "EvictionsFail",
    "MassEvictionPlanned",
    "ReportsStuck",
    "Hung",
    "ConfigRefused",
    "CertificateExpires",
}


@pytest.fixture(scope="module")
def promtool() -> Path:
    return fetched("promtool")


def alerts(name: str) -> set[str]:
    """The alerts of a file with rules."""
    return {rule["alert"] for group in yaml_of(PROMETHEUS / name)["groups"] for rule in group["rules"]}


def test_prometheus_accepts_its_configuration_with_all_rules(promtool: Path, tmp_path: Path) -> None:
    shutil.copytree(PROMETHEUS, tmp_path, dirs_exist_ok=True)
    token = tmp_path / "viewer_token"
    token.write_text("0123456789abcdef" * 4)
    settings = tmp_path / "prometheus.yml"
    settings.write_text(settings.read_text().replace("/run/secrets/viewer_token", str(token)))
    answer = run(promtool, "check", "config", settings)
    assert answer.count("SUCCESS") == 4  # the configuration, its list of files, and two files with rules
    assert "10 rules found" in answer


@pytest.mark.parametrize("name", ["hosts.yml", "monitor.yml", "monitor-week.yml"])
def test_each_rule_fires_when_it_should_and_only_then(promtool: Path, name: str) -> None:
    assert "SUCCESS" in run(promtool, "test", "rules", UNIT_TESTS / name)


def test_a_rule_that_says_something_else_fails_its_unit_test(promtool: Path, tmp_path: Path) -> None:
    rules = tmp_path / "hosts.yml"
    rules.write_text((PROMETHEUS / "hosts.yml").read_text().replace("14 * 86400", "13 * 86400"))
    unit_tests = tmp_path / "test.yml"  # JSON is YAML, too
    cases = [case for case in yaml_of(UNIT_TESTS / "hosts.yml")["tests"] if "certificate" in case["name"]]
    unit_tests.write_text(json.dumps({"rule_files": ["hosts.yml"], "evaluation_interval": "1m", "tests": cases}))
    with pytest.raises(AssertionError, match="CertificateExpires"):
        run(promtool, "test", "rules", unit_tests)


def test_the_ten_rules_are_there_and_each_has_a_unit_test() -> None:
    tested = {
        test["alertname"] for case in yaml_of(UNIT_TESTS / "hosts.yml")["tests"] for test in case["alert_rule_test"]
    }
    assert alerts("hosts.yml") == tested == TEN


def test_the_rules_and_the_dashboard_of_the_agents_ask_for_metrics_that_agents_have() -> None:
    """docs/monitoring.md names exactly those: tests/http/test_documented.py."""
    names = set(re.findall(r"torchkeeper_[a-z_]+", (ROOT / "docs/monitoring.md").read_text()))
    files = (PROMETHEUS / "hosts.yml", CONFIG / "grafana/dashboards/hosts.json")
    asked = {name for file in files for name in re.findall(r"torchkeeper_[a-z_]+", file.read_text())}
    assert len(asked) > 20
    assert {name for name in asked if name.removesuffix("_bucket") not in names} == set()


def test_the_jobs_are_those_that_the_rules_select() -> None:
    jobs = {job["job_name"] for job in yaml_of(PROMETHEUS / "prometheus.yml")["scrape_configs"]}
    text = (PROMETHEUS / "hosts.yml").read_text() + (PROMETHEUS / "monitor.yml").read_text()
    assert jobs == {"torchkeeper", "torchkeeper-monitor"}
    assert all(f'job="{job}"' in text for job in jobs)
