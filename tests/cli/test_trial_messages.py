"""What people did wrong when they tried torchkeeper, and what it answers: the fault, where it is, and the way out.

Messages about TLS, the broker's rights and the state folder are tested where they are made.
"""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent import cli
from agent.config import loading
from agent.config.settings import ConfigError
from tests.support import proc

CONFIGURATION = [  # what the file had -> what is said about it
    ('[policy]\nttll = "14d"', "policy.ttll: is an unknown key; did you mean ttl?"),
    ('[polcy]\nttl = "14d"', "polcy: is an unknown key; did you mean [policy]?"),
    ('[agent]\nttl = "14d"', "agent.ttl: is an unknown key; it belongs to [policy]"),
    ('ttl = "14d"', "ttl: is a value outside a section; write it below [policy]"),
    ("[policy]\nkeep_newest = 'two'", "policy.keep_newest: must be a whole number (it is 'two')"),
    ("[policy]\nprotect = '*:latest'", 'policy.protect: must be a list: protect = ["*:latest"]'),
    ("[policy]\nprotect = 5", "policy.protect: must be a list: protect = [...]"),
    (
        "[policy.rules]\nmatch = 'x'",
        "policy.rules: is a list of tables; write each rule below [[policy.rules]], in two brackets",
    ),
    ("[policy]\nttl = 14", "policy.ttl: 14 is not a duration; write a number and a unit, like 90s, 12h or 14d"),
    (
        "[policy]\nttl = '14 days'",
        "policy.ttl: '14 days' is not a duration; write a number and a unit, like 90s, 12h or 14d",
    ),
    ("[policy]\nttl = '-1d'", "policy.ttl: '-1d' is not a duration; write a number and a unit, like 90s, 12h or 14d"),
    ("[policy]\nttl = '0s'", "policy.ttl: must be longer than 0: an image would be evicted the moment it is idle"),
    (
        "[pressure]\nhigh = 85\nlow = '75%'",
        'pressure.high: 85 is not a percentage; write it with its sign, between 0 and 100, like "85%"',
    ),
    ("[pressure]\nhigh = '75%'\nlow = '85%'", "pressure.low: 85% is not below high, 75%"),
    (
        "[schedule]\nwindows = ['2am-5am']",
        "schedule.windows: the 1st entry: '2am-5am' is not a window; write days, if not every day, and times, like"
        " Mon-Fri 02:00-05:00 or 22:00-04:00",
    ),
    (
        "[mqtt]\nurl = 'tcp://x'",
        "mqtt.url: 'tcp://x' is not mqtt://host[:port], mqtts://host[:port] or wss://host[:port]/path",
    ),
    (
        "[mqtt]\npassword = 'secret'",
        "mqtt.password: is an unknown key; put the password into a file, and set mqtt.password_file to its path",
    ),
    (
        "[[policy.rules]]\nmatch = 'x'",
        'policy.rules: the 1st rule (match = "x"): has no effect; give it a ttl, keep = true, keep_newest or'
        " local_images",
    ),
    (
        "[[policy.rules]]\nmatch = 'a'\nttl = '1d'\n[[policy.rules]]\nmatch = 'b'\nttl = '0s'",
        'policy.rules: the 2nd rule (match = "b"): ttl: must be longer than 0: an image would be evicted the moment it'
        " is idle",
    ),
    ("[agent]\nhost = 'gpu/07 #'", "agent.host: 'gpu/07 #' cannot be part of a topic; try 'gpu-07'"),
    ("[agent]\nmode = 'dry'", "agent.mode: must be 'enforce' or 'observe' (it is 'dry')"),
    (
        "[agent]\nstate_dir = '~/tk'",
        "agent.state_dir: '~/tk' is not an absolute path; write one like /var/lib/torchkeeper",
    ),
    (
        "[docker]\nurl = 'ssh://gpu-07'",
        "docker.url: ssh:// is not supported; run torchkeeper on that host, or forward its socket with"
        " `ssh -N -L /run/gpu-07.sock:/var/run/docker.sock gpu-07` and use unix:///run/gpu-07.sock",
    ),
    ("[policy", "is not valid TOML: Expected ']' at the end of a table declaration (at end of document)"),
]


@pytest.mark.parametrize(("written", "said"), CONFIGURATION, ids=[said[:40] for _, said in CONFIGURATION])
def test_a_mistake_in_the_file_is_answered_with_the_way_out(written: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(written)
    with pytest.raises(ConfigError) as caught:
        loading.load(file)
    assert str(caught.value) == f"{file}: {said}"


def test_a_secret_that_was_written_into_the_file_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[mqtt]\npassword = 'hunter2'")
    with pytest.raises(ConfigError) as caught:
        loading.load(tmp_path / "c.toml")
    assert "hunter2" not in str(caught.value)


def test_a_variable_that_is_misspelled_is_answered_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHKEEPER_POLCY__TTL", "7d")
    with pytest.raises(ConfigError, match=r"POLCY__TTL: is an unknown key; did you mean TORCHKEEPER_POLICY__TTL\?"):
        loading.load()


def test_a_rule_of_the_environment_is_not_named_after_one_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.toml").write_text("[[policy.rules]]\nmatch = 'file'\nttl = '1d'")
    monkeypatch.setenv("TORCHKEEPER_POLICY__RULES", '[{"match": "variable"}]')
    with pytest.raises(ConfigError, match=r"policy\.rules: the 1st rule: has no effect"):
        loading.load(tmp_path / "c.toml")


COMMANDS = [  # what was typed -> what is answered, and the exit code
    (("plna",), "No such command 'plna'. Did you mean 'plan'?", 2),
    (("version",), "No such command 'version'. Did you mean 'torchkeeper --version'?", 2),
    (("plan", "--jsno"), "No such option: --jsno. Did you mean --json?", 2),
]


@pytest.mark.parametrize(("typed", "said", "code"), COMMANDS)
def test_a_mistake_on_the_command_line_is_answered_with_what_was_meant(
    typed: tuple[str, ...], said: str, code: int
) -> None:
    done = CliRunner().invoke(cli.app, typed, prog_name="torchkeeper")
    assert (done.exit_code, said in done.stderr) == (code, True)


DURATIONS = [
    ("999999d", "'999999d' is longer than 100 years"),
    ("0d", "must be longer than 0"),
    ("-1d", "'-1d' is not a duration"),
]


@pytest.mark.parametrize(("written", "said"), DURATIONS)
def test_a_wrong_duration_is_answered_with_its_option(written: str, said: str) -> None:
    done = CliRunner().invoke(cli.app, ("plan", f"--at={written}"), prog_name="torchkeeper")
    assert f"--at: {said}" in str(done.exception)


def test_names_and_a_document_together_are_refused() -> None:
    done = CliRunner().invoke(cli.app, ("images", "--json", "--quiet"), prog_name="torchkeeper")
    assert str(done.exception) == "--quiet: does not work together with --json; leave one of them out"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("unix:///nope.sock", "cannot connect to Docker at unix:///nope.sock: no such file or directory"),
        ("tcp://127.0.0.1:1", "cannot connect to Docker at tcp://127.0.0.1:1: connection refused"),
    ],
)
def test_an_engine_that_cannot_be_reached_is_named_once_with_the_systems_own_words(
    url: str, said: str, tmp_path: Path
) -> None:
    config = proc.write_config(tmp_path / "c.toml", agent={"state_dir": tmp_path / "state"}, docker={"url": url})
    done = proc.torchkeeper("plan", config=config)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"torchkeeper: {said}; `torchkeeper check` shows what to do\n"


def test_a_missing_file_is_not_answered_with_a_key(tmp_path: Path) -> None:
    done = proc.torchkeeper("check", "--config", str(tmp_path / "nope.toml"))
    assert done.returncode == 1
    assert " ".join(done.stdout.split()).endswith(
        "nope.toml: cannot be read: No such file or directory; name an existing file with --config or"
        " TORCHKEEPER_CONFIG -> correct this first; the other checks were skipped"
    )
