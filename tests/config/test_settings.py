"""Configuration: every key works, every mistake is named, and nothing is guessed."""

import errno
import os
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from agent.config import loading, sections
from agent.config.settings import PREFIX, ConfigError, Settings
from agent.core.policy import schedule
from agent.core.policy import settings as policy_settings
from agent.core.policy.schedule import Schedule
from tests.config.mistakes import IN_THE_ENVIRONMENT, MISTAKES

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def load(tmp_path: Path):  # type: ignore[no-untyped-def]
    def _load(text: str) -> Settings:
        path = tmp_path / "c.toml"
        path.write_text(text)
        return loading.load(path)

    return _load


def test_the_commented_default_has_the_built_in_values() -> None:
    assert loading.load(ROOT / "config/torchkeeper.toml") == Settings()


def test_the_commented_default_names_every_key() -> None:
    text = (ROOT / "config/torchkeeper.toml").read_text()
    written = tomllib.loads(text)
    known = {
        name: set(field.annotation.model_fields) - {"rules"}  # type: ignore[union-attr]
        for name, field in Settings.model_fields.items()
    }
    commented = {  # TOML cannot say "not set"
        "pressure": {"high", "low", "budget"},
        "cleanup": {"dangling_after", "build_cache_after"},
        "limits": {"evictions_per_sweep", "bytes_per_hour"},
    }
    assert all(f"# {key} = " in text for keys in commented.values() for key in keys)
    assert "# [http]\n" in text  # the section itself opens a port
    assert [key for key in known.pop("http") if f"# {key} = " not in text] == []
    assert {name: set(section) | commented.get(name, set()) for name, section in written.items()} == known
    assert set(written["monitor"]["auth"]) == set(sections.MonitorAuth.model_fields)


def test_the_rules_shown_in_the_default_are_rules_that_work(load) -> None:  # type: ignore[no-untyped-def]
    text = (ROOT / "config/torchkeeper.toml").read_text()
    lines = [
        line.removeprefix("# ")
        for line in text.splitlines()
        if line.startswith(("# [[", "# match", "# ttl =", "# keep ="))
    ]
    assert load("\n".join(lines)).policy.rules == (
        sections.Rule(match="nvcr.io/nvidia/pytorch:*", ttl=timedelta(days=30)),
        sections.Rule(match="*/golden/*", keep=True),
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
        known = ["c/trainer"]
        [policy]
        ttl = "7d"
        min_age = "0s"
        protect = []
        keep_newest = 3
        local_images = "evict"
        [[policy.rules]]
        match = "x"
        ttl = "1d"
        keep_newest = 0
        local_images = "keep"
        [pressure]
        high = "85%"
        low = "74.5 %"
        [schedule]
        windows = ["Mon-Fri 02:00-05:00", "22:00-04:00"]
        timezone = "Europe/Berlin"
        [cleanup]
        dangling_after = "2d"
        build_cache_after = "7d"
        [limits]
        evictions_per_sweep = 5
        bytes_per_hour = "200GB"
        """
    )
    assert settings.core_policy() == policy_settings.Policy(
        ttl=timedelta(days=7),
        min_age=timedelta(),
        include=("a/*",),
        exclude=("b/*",),
        known=("c/trainer",),
        protect=(),
        keep_newest=3,
        rules=(policy_settings.Rule(match="x", ttl=timedelta(days=1), keep_newest=0, evict_local=False),),
        evict_local=True,
        evict_ambiguous=True,
        dangling_after=timedelta(days=2),
        build_cache_after=timedelta(days=7),
        pressure=policy_settings.Pressure(high=0.85, low=0.745),
        schedule=Schedule(
            windows=(schedule.parse("Mon-Fri 02:00-05:00"), schedule.parse("22:00-04:00")), timezone="Europe/Berlin"
        ),
        observe=True,
        limits=policy_settings.Limits(evictions_per_sweep=5, bytes_per_hour=200 * 10**9),
    )


def test_a_budget_stands_alone(load) -> None:  # type: ignore[no-untyped-def]
    settings = load("[pressure]\nbudget = '200GB'")
    assert settings.core_policy().pressure == policy_settings.Pressure(budget=200 * 10**9)


def test_a_rule_may_set_only_keep_newest(load) -> None:  # type: ignore[no-untyped-def]
    settings = load("[[policy.rules]]\nmatch='x'\nkeep_newest=2")
    assert settings.core_policy().rules == (policy_settings.Rule(match="x", keep_newest=2),)


def test_the_grace_of_a_change_may_be_0(load) -> None:  # type: ignore[no-untyped-def]
    assert load("[policy]\nchange_grace = '0s'").policy.change_grace == timedelta()
    assert Settings().policy.change_grace == timedelta(hours=1)


def test_patterns_for_some_containers_and_images_are_accepted(load) -> None:  # type: ignore[no-untyped-def]
    settings = load(
        "[usage]\nignore_containers = ['trivy*', 'role=scanner', 'role=*', '*=scanner', '*:latest']\n"
        "[images]\nexclude = ['*/prod/*', '*:v*', '[a-m]*', '*/prod/*@sha256:*']"
    )
    assert settings.usage.ignore_containers == ("trivy*", "role=scanner", "role=*", "*=scanner", "*:latest")
    assert settings.images.exclude == ("*/prod/*", "*:v*", "[a-m]*", "*/prod/*@sha256:*")


def test_the_environment_wins_over_the_file(load, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TORCHKEEPER_POLICY__TTL", "7d")
    monkeypatch.setenv("TORCHKEEPER_IMAGES__INCLUDE", '["env/*"]')
    settings = load('[policy]\nttl = "1d"\nmin_age = "5m"\n[images]\ninclude = ["file/*"]')
    assert settings.policy.ttl == timedelta(days=7)
    assert settings.policy.min_age == timedelta(minutes=5)
    assert settings.images.include == ("env/*",)


def test_the_environment_sets_every_new_key(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "POLICY__KEEP_NEWEST": "2",
        "POLICY__CHANGE_GRACE": "2h",
        "PRESSURE__HIGH": "85%",
        "PRESSURE__LOW": "75%",
        "SCHEDULE__WINDOWS": '["Mon-Fri 02:00-05:00"]',
        "SCHEDULE__TIMEZONE": "Europe/Berlin",
        "CLEANUP__DANGLING_AFTER": "2d",
        "CLEANUP__BUILD_CACHE_AFTER": "7d",
        "USAGE__IGNORE_CONTAINERS": '["trivy*"]',
        "IMAGES__PROBE_LAYERS": "false",
        "MQTT__COMPRESS": "true",
    }
    for name, value in values.items():
        monkeypatch.setenv(PREFIX + name, value)
    settings = loading.load(ROOT / "config/torchkeeper.toml")
    assert (settings.policy.keep_newest, settings.policy.change_grace) == (2, timedelta(hours=2))
    assert (settings.pressure.high, settings.pressure.low) == (0.85, 0.75)
    assert settings.schedule.windows == (schedule.parse("Mon-Fri 02:00-05:00"),)
    assert settings.schedule.timezone == "Europe/Berlin"
    assert settings.cleanup.dangling_after == timedelta(days=2)
    assert settings.cleanup.build_cache_after == timedelta(days=7)
    assert settings.usage.ignore_containers == ("trivy*",)
    assert (settings.images.probe_layers, settings.mqtt.compress) == (False, True)


def test_a_budget_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHKEEPER_PRESSURE__BUDGET", "200GB")
    assert loading.load(ROOT / "config/torchkeeper.toml").core_policy().pressure == policy_settings.Pressure(
        budget=200 * 10**9
    )


def test_the_file_is_the_one_given_then_the_one_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text('[policy]\nttl = "1d"')
    other.write_text('[policy]\nttl = "2d"')
    monkeypatch.setenv("TORCHKEEPER_CONFIG", str(other))
    assert loading.load(one).policy.ttl == timedelta(days=1)
    assert loading.load().policy.ttl == timedelta(days=2)


@pytest.mark.parametrize(("what", "text", "message"), MISTAKES, ids=[case[0] for case in MISTAKES])
def test_a_mistake_is_named(what: str, text: str, message: str, load) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert message in str(caught.value)


def test_all_mistakes_are_named_at_once(load) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=r"policy\.ttl.*policy\.min_age"):
        load('[policy]\nttl = "x"\nmin_age = "y"')


def test_a_secret_in_a_refused_address_is_not_repeated(load) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError) as caught:
        load("[mqtt]\nurl = 'mqtt://user:hunter2@x'")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "urls"),
    [("mqtt://a", ("mqtt://a",)), ('["mqtts://a", "mqtts://b:1"]', ("mqtts://a", "mqtts://b:1")), ("", ()), ("[]", ())],
)
def test_the_brokers_address_is_one_or_a_list(  # type: ignore[no-untyped-def]
    value: str, urls: tuple[str, ...], load, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = value if value.startswith("[") else f"'{value}'"
    assert load(f"[mqtt]\nurl = {written}").mqtt.urls == urls
    monkeypatch.setenv("TORCHKEEPER_MQTT__URL", value)
    assert loading.load().mqtt.urls == urls
    assert bool(loading.load().mqtt.url) is bool(urls)


@pytest.mark.parametrize(("name", "value", "message"), IN_THE_ENVIRONMENT)
def test_a_mistake_in_the_environment_is_named(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        loading.load()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        loading.load(tmp_path / "none.toml")


# A file that has a name and cannot be read


UNREADABLE = [
    ("folder", "Is a directory; it is a folder; name the file in it, like {0}/folder/torchkeeper.toml"),
    ("dangling", "No such file or directory; {0}/dangling is a dangling link to {0}/gone; restore that"),
    ("loop", "Too many levels of symbolic links; {0}/loop is a dangling link to {0}/loop"),
    ("dangling/torchkeeper.toml", "No such file or directory; {0}/dangling is a dangling link to {0}/gone"),
    ("file/torchkeeper.toml", "Not a directory; a part of its path is not a folder"),
]


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """Paths at which something exists that cannot be read as a file."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    return tmp_path


@pytest.mark.parametrize(("name", "message"), UNREADABLE)
def test_a_file_that_cannot_be_read_is_named_with_the_way_out(names: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loading.load(names / name)
    assert str(caught.value).startswith(f"{names / name}: cannot be read: {message.format(names)}")


@pytest.mark.parametrize("name", [name for name, _ in UNREADABLE])
def test_a_default_path_at_which_something_exists_never_means_the_built_in_defaults(names: Path, name: str) -> None:
    assert loading.find_file(None, {}, names / name) == names / name
    with pytest.raises(ConfigError, match="cannot be read"):
        loading.load(default=names / name)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_a_default_path_that_cannot_be_examined_never_means_the_built_in_defaults(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lstat(_: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "lstat", lstat)
    assert loading.find_file(None, {}, tmp_path / "torchkeeper.toml") == tmp_path / "torchkeeper.toml"


@pytest.mark.parametrize("name", ["torchkeeper.toml", "none/torchkeeper.toml", "linked/torchkeeper.toml"])
@pytest.mark.parametrize("environ", [{}, {"TORCHKEEPER_CONFIG": ""}])
def test_a_default_path_at_which_nothing_exists_means_the_built_in_defaults(
    tmp_path: Path, name: str, environ: dict[str, str]
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    assert loading.find_file(None, environ, tmp_path / name) is None


def test_the_error_for_a_forbidden_file_names_the_agents_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(ConfigError) as caught:
        loading.load(tmp_path / "c.toml")
    assert "c.toml: cannot be read: Permission denied; run this as the agent's user, or let uid" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", None),
        ("[http]", ("127.0.0.1", 9477)),
        ("[http]\nlisten = ''", None),
        ("[http]\nlisten = '[::1]:9000'", ("::1", 9000)),
        ("[http]\nlisten = 'localhost:9000'", ("localhost", 9000)),
    ],
)
def test_health_is_served_only_if_the_configuration_has_its_section(  # type: ignore[no-untyped-def]
    text: str, address: tuple[str, int] | None, load
) -> None:
    assert load(text).http.address == address
