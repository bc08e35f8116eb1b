"""The example for Ansible is YAML, and names only files, units and handlers that there are."""

import configparser
import re
from typing import Any

import pytest

from tests.deployment.files import CONFIG, ROOT, yaml_of

ANSIBLE = CONFIG / "ansible"
LATER = {"config/proxy/haproxy.cfg"}  # generated: `make proxy`
MODULES = {"apt", "command", "copy", "file", "shell", "systemd_service"}


@pytest.fixture(scope="module")
def play() -> Any:
    [only] = yaml_of(ANSIBLE / "site.yml")
    return only


def modules(tasks: list[dict[str, Any]]) -> set[str]:
    return {
        key.removeprefix("ansible.builtin.") for task in tasks for key in task if key.startswith("ansible.builtin.")
    }


def test_each_task_has_a_name_and_one_module_of_ansible_itself(play: Any) -> None:
    tasks = [*play["tasks"], *play["handlers"]]
    assert [task for task in tasks if not task.get("name") or len(modules([task])) != 1] == []
    assert modules(tasks) == MODULES


def test_the_files_that_it_copies_are_there(play: Any) -> None:
    text = (ANSIBLE / "site.yml").read_text()
    copied = {f"config/{item['src']}" for task in play["tasks"] for item in task.get("loop", ()) if "src" in item}
    named = copied | set(re.findall(r"\{\{ project \}\}/(requirements\.lock|config/\w+)\"", text))
    assert {"requirements.lock", "config/enrol"} <= named
    assert {name for name in named if not (ROOT / name).exists()} <= LATER


def test_each_handler_that_is_notified_is_there(play: Any) -> None:
    wanted = [task["notify"] for task in play["tasks"] if "notify" in task]
    flat = {name for entry in wanted for name in ([entry] if isinstance(entry, str) else entry)}
    assert flat == {handler["name"] for handler in play["handlers"]}


def test_the_units_that_it_starts_are_those_of_the_project(play: Any) -> None:
    loops = [task["loop"] for task in play["tasks"] if task.get("name", "").startswith("The proxy and the agent run")]
    assert [(CONFIG / "systemd" / unit).exists() for unit in loops[0]] == [True, True]


def test_the_inventory_has_the_group_of_the_playbook_and_names_that_enrol_takes(play: Any) -> None:
    inventory = configparser.ConfigParser(allow_no_value=True, delimiters=("=",))
    inventory.read(ANSIBLE / "hosts.ini")
    names = [line.split()[0] for line in inventory[play["hosts"]]]
    assert names == ["gpu-07", "gpu-08"]
