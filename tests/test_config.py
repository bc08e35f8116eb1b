"""Configuration: every key works, every mistake is named, and nothing is guessed."""

import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from agent import config
from agent.core import model

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(config.PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def load(tmp_path: Path):  # type: ignore[no-untyped-def]
    def _load(text: str) -> config.Settings:
        path = tmp_path / "c.toml"
        path.write_text(text)
        return config.load(path)

    return _load


def test_the_commented_default_says_what_is_built_in() -> None:
    assert config.load(ROOT / "config/torchkeeper.toml") == config.Settings()


def test_the_commented_default_names_every_key() -> None:
    text = (ROOT / "config/torchkeeper.toml").read_text()
    written = tomllib.loads(text)
    known = {
        name: set(field.annotation.model_fields) - {"rules"}  # type: ignore[union-attr]
        for name, field in config.Settings.model_fields.items()
    }
    commented = {  # TOML has no word for "not set"
        "pressure": {"high", "low", "budget"},
        "cleanup": {"dangling_after", "build_cache_after"},
        "limits": {"evictions_per_sweep", "bytes_per_hour"},
    }
    assert all(f"# {key} = " in text for keys in commented.values() for key in keys)
    assert {name: set(section) | commented.get(name, set()) for name, section in written.items()} == known


def test_the_rules_shown_in_the_default_are_rules_that_work(load) -> None:  # type: ignore[no-untyped-def]
    text = (ROOT / "config/torchkeeper.toml").read_text()
    lines = [
        line.removeprefix("# ")
        for line in text.splitlines()
        if line.startswith(("# [[", "# match", "# ttl =", "# keep ="))
    ]
    assert load("\n".join(lines)).policy.rules == (
        config.Rule(match="nvcr.io/nvidia/pytorch:*", ttl=timedelta(days=30)),
        config.Rule(match="*/golden/*", keep=True),
    )


def test_settings_become_the_policy_of_the_core(load) -> None:  # type: ignore[no-untyped-def]
    settings = load(
        """
        [agent]
        mode = "observe"
        [images]
        include = ["a/*"]
        exclude = ["b/*"]
        ambiguous = "evict"
        [policy]
        ttl = "7d"
        min_age = "0s"
        protect = []
        local_images = "evict"
        [[policy.rules]]
        match = "x"
        ttl = "1d"
        local_images = "keep"
        """
    )
    assert settings.core_policy() == model.Policy(
        ttl=timedelta(days=7),
        min_age=timedelta(),
        include=("a/*",),
        exclude=("b/*",),
        protect=(),
        rules=(model.Rule(match="x", ttl=timedelta(days=1), evict_local=False),),
        evict_local=True,
        evict_ambiguous=True,
        observe=True,
    )


def test_the_environment_wins_over_the_file(load, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TORCHKEEPER_POLICY__TTL", "7d")
    monkeypatch.setenv("TORCHKEEPER_IMAGES__INCLUDE", '["env/*"]')
    settings = load('[policy]\nttl = "1d"\nmin_age = "5m"\n[images]\ninclude = ["file/*"]')
    assert settings.policy.ttl == timedelta(days=7)
    assert settings.policy.min_age == timedelta(minutes=5)
    assert settings.images.include == ("env/*",)


def test_the_file_is_the_one_given_then_the_one_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text('[policy]\nttl = "1d"')
    other.write_text('[policy]\nttl = "2d"')
    monkeypatch.setenv("TORCHKEEPER_CONFIG", str(other))
    assert config.load(one).policy.ttl == timedelta(days=1)
    assert config.load().policy.ttl == timedelta(days=2)


MISTAKES = [
    ("an unknown key", "[policy]\ntll = '7d'", "policy.tll: is an unknown key; known here: ttl, min_age"),
    ("an unknown section", "[polcy]\nttl = '7d'", "polcy: is an unknown key; the sections are [agent]"),
    ("a key of a later release", "[monitor]\nlisten = ''", "monitor: is an unknown key"),
    (
        "an unknown key of a rule",
        "[[policy.rules]]\nmatch='x'\nkeeep=true\nttl='1d'",
        "policy.rules.0.keeep: is an unknown key; known here: match",
    ),
    ("a value outside a section", "ttl = '7d'", "ttl: is a value outside a section"),
    ("a TTL of 0", "[policy]\nttl = '0s'", "policy.ttl: must be longer than 0"),
    ("a negative TTL", "[policy]\nttl = '-1d'", "policy.ttl: '-1d' is not a duration"),
    ("a TTL without a unit", "[policy]\nttl = 14", "policy.ttl: 14 is not a duration; write a number and a unit, like"),
    ("a rule's TTL of 0", "[[policy.rules]]\nmatch='x'\nttl='0s'", "policy.rules.0.ttl: must be longer than 0"),
    ("a rule that says nothing", "[[policy.rules]]\nmatch='x'", "policy.rules.0: has no effect"),
    ("a rule that contradicts itself", "[[policy.rules]]\nmatch='x'\nkeep=true\nttl='1d'", "policy.rules.0: has both"),
    ("a rule without a match", "[[policy.rules]]\nkeep=true", "policy.rules.0.match: Field required"),
    ("keep that is no boolean", "[[policy.rules]]\nmatch='x'\nkeep='yes'", "policy.rules.0.keep"),
    ("a limit of 0", "[limits]\nevictions_per_sweep = 0", "limits.evictions_per_sweep"),
    ("a budget of 0", "[limits]\nbytes_per_hour = '0GB'", "limits.bytes_per_hour: must be more than 0 bytes"),
    ("a budget without a unit", "[limits]\nbytes_per_hour = 5", "limits.bytes_per_hour: 5 is not a size"),
    ("an unknown mode", "[agent]\nmode = 'dry'", "agent.mode: Input should be 'enforce' or 'observe' (it is 'dry')"),
    (
        "a host that is no topic level",
        "[agent]\nhost = 'a/b'",
        "agent.host: 'a/b' cannot be part of a topic; try 'a-b'",
    ),
    ("a list that is a string", "[images]\ninclude = 'x'", "images.include"),
    ("an empty pattern", "[images]\ninclude = ['']", "images.include.0: is an empty pattern"),
    (
        "an engine's address of no known kind",
        "[docker]\nurl = '/var/run/docker.sock'",
        "docker.url: '/var/run/docker.sock' is not",
    ),
    ("a broker's address of no known kind", "[mqtt]\nurl = 'http://x'", "mqtt.url: 'http://x' is not mqtt://"),
    ("a password in the address", "[mqtt]\nurl = 'mqtt://u:p@x'", "mqtt.url: the address holds a user or a password"),
    ("a prefix with a wildcard", "[mqtt]\nprefix = 'a/+'", "mqtt.prefix: 'a/+' cannot start a topic"),
    ("no TOML", "[policy", "is not valid TOML"),
]


@pytest.mark.parametrize(("what", "text", "message"), MISTAKES, ids=[case[0] for case in MISTAKES])
def test_a_mistake_is_named(what: str, text: str, message: str, load) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(config.ConfigError) as caught:
        load(text)
    assert message in str(caught.value)


def test_all_mistakes_are_named_at_once(load) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(config.ConfigError, match=r"policy\.ttl.*policy\.min_age"):
        load('[policy]\nttl = "x"\nmin_age = "y"')


def test_a_secret_in_a_refused_address_is_not_repeated(load) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(config.ConfigError) as caught:
        load("[mqtt]\nurl = 'mqtt://user:hunter2@x'")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TORCHKEEPER_POLICY__TLL", "7d", "policy.tll: is an unknown key"),
        ("TORCHKEEPER_POLCY__TTL", "7d", "TORCHKEEPER_POLCY__TTL: is an unknown key"),
        ("TORCHKEEPER_IMAGES__INCLUDE", "a/*", "written as JSON"),
    ],
)
def test_a_mistake_in_the_environment_is_named(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(config.ConfigError, match=message):
        config.load()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match=r"none\.toml: cannot be read: No such file"):
        config.load(tmp_path / "none.toml")
