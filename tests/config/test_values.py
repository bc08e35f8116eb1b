"""Durations, sizes and percentages in the configuration are either accepted or refused with an error about the key."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import loading
from agent.config.settings import ConfigError, Settings
from agent.core import units
from tests.core.written import ACCEPTED

KEYS = {
    units.parse_duration: (
        "policy.ttl",
        "policy.min_age",
        "policy.change_grace",
        "cleanup.dangling_after",
        "limits.pause",
    ),
    units.parse_size: ("pressure.budget", "limits.bytes_per_hour"),
    units.parse_percent: ("pressure.high", "pressure.low"),
}
CASES = st.one_of([st.tuples(st.sampled_from(keys), ACCEPTED[read]) for read, keys in KEYS.items()])


def load(text: str) -> Settings:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "c.toml")
        path.write_text(text)
        return loading.load(path)


@given(CASES)
def test_a_value_of_any_form_is_accepted_or_refused_with_its_key(case: tuple[str, str]) -> None:
    key, written = case
    section, _, name = key.partition(".")
    try:
        load(f"[{section}]\n{name} = {json.dumps(written)}")
    except ConfigError as error:
        message = str(error)
    else:
        message = f": {section}."
    assert f": {section}." in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[policy]\nttl = "999999999w"', "policy.ttl: '999999999w' is longer than 100 years"),
        ('[pressure]\nbudget = "999999999999999PB"', "pressure.budget: '999999999999999PB' is more than 1000 PB"),
        ("[policy]\nttl = 0x" + "F" * 5000, "policy.ttl: a number of hundreds of digits is not a duration"),
        ("[policy]\nkeep_newest = 0x" + "F" * 5000, "policy.keep_newest: .*it is a number of hundreds of digits"),
        ("[policy]\nkeep_newest = 1" + "0" * 5000, "has a number of thousands of digits"),
        ("a = " + "[" * 5000, "nests lists too deeply"),
        ('[agent]\nstate_dir = "/var\\u0000"', "agent.state_dir: contains a NUL character; remove it"),
    ],
    ids=["duration", "size", "a long number", "a long count", "digits", "nesting", "NUL"],
)
def test_an_absurd_value_is_refused_with_its_key(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        load(text)
    assert len(str(raised.value)) < 500


def test_a_list_in_the_environment_that_is_too_deep_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHKEEPER_POLICY__PROTECT", "[" * 100_000)
    with pytest.raises(ConfigError, match=r"the environment: .*lists and tables are written as JSON"):
        loading.load()
