"""Which keys differ between two settings, and which of them a running agent takes over."""

from datetime import timedelta

import pytest
from pydantic import BaseModel

from agent.config import changes
from agent.config.changes import Changes
from agent.config.settings import Settings

NOW = Settings()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Settings(), Changes()),
        (
            Settings(policy={"ttl": "7d", "protect": []}, agent={"mode": "observe"}),
            Changes(applied=("agent.mode", "policy.ttl", "policy.protect")),
        ),
        (
            Settings(images={"known": ["a/b"]}, usage={"gap_tolerance": "2m"}, history={"retention": "1d"}),
            Changes(applied=("images.known", "usage.gap_tolerance", "history.retention")),
        ),
        (
            Settings(mqtt={"url": "mqtt://b"}, docker={"url": "unix:///d"}, agent={"host": "a", "log": "json"}),
            Changes(restart=("agent.host", "agent.log", "docker.url", "mqtt.url")),
        ),
        (
            Settings(agent={"state_dir": "/s", "mode": "observe"}),
            Changes(applied=("agent.mode",), restart=("agent.state_dir",)),
        ),
        (Settings(monitor={"listen": "127.0.0.1:1"}), Changes()),
    ],
)
def test_each_key_that_differs_is_named_once_and_on_its_side(wanted: Settings, found: Changes) -> None:
    assert changes.between(NOW, wanted) == found


def test_what_needs_a_restart_stays_and_the_rest_is_taken_over() -> None:
    wanted = Settings(
        agent={"host": "b", "mode": "observe"},
        mqtt={"url": "mqtt://b"},
        policy={"ttl": "7d"},
        pressure={"budget": "9GB"},
    )
    merged = changes.merge(NOW, wanted)
    assert (merged.policy, merged.pressure, merged.agent.mode) == (wanted.policy, wanted.pressure, "observe")
    assert (merged.agent.host, merged.mqtt) == (NOW.agent.host, NOW.mqtt)
    assert changes.between(merged, wanted) == Changes(restart=("agent.host", "mqtt.url"))


def test_settings_that_were_taken_over_differ_no_more() -> None:
    wanted = Settings(policy={"ttl": timedelta(days=1)})
    assert changes.between(changes.merge(NOW, wanted), wanted) == Changes()


def test_a_section_that_is_not_listed_needs_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that a later release adds."""
    monkeypatch.setattr(changes, "APPLIED", changes.APPLIED - {"limits"})
    assert changes.between(NOW, Settings(limits={"pause": "9s"})) == Changes(restart=("limits.pause",))


def test_each_listed_name_is_a_section_or_a_key() -> None:
    sections: dict[str, type[BaseModel]] = {name: type(getattr(NOW, name)) for name in Settings.model_fields}
    keys = {f"{name}.{key}" for name, section in sections.items() for key in section.model_fields}
    assert sections.keys() | keys >= changes.APPLIED | changes.UNUSED


def test_each_key_of_a_section_that_is_applied_is_given_to_the_part_that_uses_it() -> None:
    """A new key fails here: let `Applier` in agent/daemon/in_force.py apply it, and then add it to this list."""
    applied = {
        f"{name}.{key}"
        for name in Settings.model_fields
        if name in changes.APPLIED
        for key in type(getattr(NOW, name)).model_fields
    }
    by_core_policy = {
        *("images.include", "images.exclude", "images.ambiguous", "images.known", "policy.ttl", "policy.min_age"),
        *("policy.protect", "policy.keep_newest", "policy.local_images", "policy.rules", "pressure.high"),
        *("pressure.low", "pressure.budget", "schedule.windows", "schedule.timezone", "cleanup.dangling_after"),
        *("cleanup.build_cache_after", "limits.evictions_per_sweep", "limits.bytes_per_hour"),
    }
    by_their_own = {"policy.change_grace", "limits.pause", "usage.ignore_containers", "usage.gap_tolerance"}
    others = {"images.probe_layers", "history.retention"}
    assert applied == by_core_policy | by_their_own | others
