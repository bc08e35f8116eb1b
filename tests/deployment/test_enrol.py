"""config/enrol: what it gives a host, what it refuses, and that it may run again and be killed."""

import os
import shlex
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agent.config import loading
from agent.diagnostics import broker_check
from tests.deployment.centre import Centre
from tests.deployment.files import CONFIG, run

pytestmark = pytest.mark.real

ETC = "etc/torchkeeper"
# Stands in for ssh, and hands over a command in the same way. The host's /etc is an overlay that only it sees.
SSH = """\
#!/bin/sh
while [ "$1" = -o ]; do shift 2; done
echo "$1" >>{folder}/targets
layers=lowerdir=/etc,upperdir={folder}/etc,workdir={folder}/work
exec unshare --mount sh -c 'mount -t overlay overlay -o "$1" /etc && exec sh -c "$2"' sh "$layers" "$2"
"""


@pytest.fixture
def host(centre: Centre, tmp_path: Path) -> Path:
    """The root folder of the host gpu-09, just enrolled."""
    centre.must_enrol("gpu-09", "--root", str(tmp_path), RENEW="1")
    return tmp_path


def settings(root: Path) -> str:
    return (root / ETC / "torchkeeper.toml").read_text()


def files(root: Path) -> dict[str, bytes]:
    """All files below a folder, by their path in it."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_host_gets_a_configuration_that_the_agent_accepts_and_that_only_observes(host: Path, centre: Centre) -> None:
    found = loading.load(host / ETC / "torchkeeper.toml")
    assert (found.agent.host, found.agent.mode, found.mqtt.url) == ("gpu-09", "observe", centre.url)
    assert set(tomllib.loads(settings(host))) == {"agent", "mqtt"}
    assert sorted(files(host)) == [
        f"{ETC}/credentials/ca.crt",
        f"{ETC}/credentials/mqtt.crt",
        f"{ETC}/credentials/mqtt.key",
        f"{ETC}/torchkeeper.toml",
    ]


def test_only_its_owner_can_read_the_key_and_the_centre_does_not_store_it(host: Path, centre: Centre) -> None:
    key = host / ETC / "credentials/mqtt.key"
    assert (stat.S_IMODE(key.stat().st_mode), key.stat().st_uid) == (0o600, 65532)
    assert key.read_bytes() not in files(centre.pki).values()
    assert [path for path in centre.pki.rglob("*") if path.suffix == ".key" and path.stat().st_mode & 0o077] == []


def test_a_certificate_is_for_one_client_and_for_398_days(host: Path) -> None:
    text = run("openssl", "x509", "-in", host / ETC / "credentials/mqtt.crt", "-noout", "-text")
    assert "Subject: CN = gpu-09" in text
    assert "TLS Web Client Authentication" in text
    assert "CA:FALSE" in text
    within = ["openssl", "x509", "-in", str(host / ETC / "credentials/mqtt.crt"), "-noout", "-checkend"]
    ends = [
        subprocess.run([*within, str(days * 86400)], capture_output=True, check=False).returncode for days in (397, 399)
    ]
    assert ends == [0, 1]


def test_another_run_changes_nothing_and_renew_replaces_the_certificate_only(host: Path, centre: Centre) -> None:
    before = files(host)
    assert "nothing to do" in centre.must_enrol("gpu-09", "--root", str(host))
    assert files(host) == before
    changed = settings(host).replace("observe", "enforce")
    (host / ETC / "torchkeeper.toml").write_text(changed)
    centre.must_enrol("gpu-09", "--root", str(host), RENEW="1")
    after = files(host)
    assert settings(host) == changed
    assert {name for name in after if after[name] != before[name]} == {
        f"{ETC}/credentials/mqtt.crt", f"{ETC}/credentials/mqtt.key", f"{ETC}/torchkeeper.toml",
    }  # fmt: skip


@pytest.mark.parametrize("damage", ["truncated", "another host's", "missing"])
def test_a_host_without_its_own_good_certificate_gets_one(damage: str, host: Path, centre: Centre) -> None:
    certificate = host / ETC / "credentials/mqtt.crt"
    before = certificate.read_bytes()
    if damage == "truncated":
        certificate.write_bytes(before[:100])
    elif damage == "missing":
        certificate.unlink()
    else:
        certificate.write_bytes((centre.credentials("gpu-07") / "mqtt.crt").read_bytes())
    assert "enrolled until" in centre.must_enrol("gpu-09", "--root", str(host))
    assert run("openssl", "x509", "-in", certificate, "-noout", "-subject").strip() == "subject=CN = gpu-09"


def test_the_default_configuration_gets_what_is_empty_and_nothing_else(centre: Centre, tmp_path: Path) -> None:
    default = (CONFIG / "torchkeeper.toml").read_text()
    (tmp_path / ETC).mkdir(parents=True)
    (tmp_path / ETC / "torchkeeper.toml").write_text(default)
    centre.must_enrol("gpu-09", "--root", str(tmp_path))
    found = loading.load(tmp_path / ETC / "torchkeeper.toml")
    assert (found.agent.host, found.agent.mode, found.mqtt.url) == ("gpu-09", "enforce", centre.url)
    assert str(found.mqtt.key_file) == "/etc/torchkeeper/credentials/mqtt.key"
    before, after = default.splitlines(), settings(tmp_path).splitlines()
    assert len([line for line in after if line not in before]) == 5  # host, url, and three files
    assert [line for line in before if line not in after] == [
        'host = ""',
        'ca_file = ""',
        'cert_file = ""',
        'key_file = ""',
    ]
    assert (tmp_path / ETC / "torchkeeper.toml.before-enrol").read_text() == default


def test_a_short_configuration_gets_the_sections_that_it_lacks(centre: Centre, tmp_path: Path) -> None:
    (tmp_path / ETC).mkdir(parents=True)
    (tmp_path / ETC / "torchkeeper.toml").write_text('[policy]\nttl = "7d"\n\n[agent] # mine\nmode = "enforce"\n')
    centre.must_enrol("gpu-09", "--root", str(tmp_path), PROXY="1")
    found = loading.load(tmp_path / ETC / "torchkeeper.toml")
    assert (found.agent.host, found.agent.mode, found.policy.ttl.days) == ("gpu-09", "enforce", 7)
    assert (found.mqtt.url, found.docker.url) == (centre.url, "unix:///run/torchkeeper/docker.sock")


def test_values_that_are_set_stay_and_what_the_certificate_needs_is_printed(centre: Centre, tmp_path: Path) -> None:
    paths = 'ca_file = "/a"\ncert_file = "/b"\nkey_file = "/c"\n'
    own = f'[agent]\nhost = "mine"\n[mqtt]\nurl = "mqtts://other:8883"\n{paths}'
    (tmp_path / ETC).mkdir(parents=True)
    (tmp_path / ETC / "torchkeeper.toml").write_text(own)
    said = centre.must_enrol("gpu-09", "--root", str(tmp_path))
    assert settings(tmp_path) == own
    assert "stay; for the certificate, it needs:" in said
    assert 'key_file = "/etc/torchkeeper/credentials/mqtt.key"' in said


def test_with_the_proxy_the_configuration_names_its_socket(centre: Centre, tmp_path: Path) -> None:
    centre.must_enrol("gpu-09", "--root", str(tmp_path), PROXY="1")
    assert loading.load(tmp_path / ETC / "torchkeeper.toml").docker.url == "unix:///run/torchkeeper/docker.sock"


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["gpu/07"], {}, "cannot be part of a topic"),
        (["gpu-+"], {}, "cannot be part of a topic"),
        (["gpu 07"], {}, "cannot be part of a topic"),
        (["x" * 64], {}, "cannot be part of a topic"),
        (["gpu-07.lab"], {}, "try 'gpu-07-lab'"),
        (["torchkeeper-monitor"], {}, "gives such users other rights"),
        (["gpu-09"], {"BROKER": ""}, "set BROKER"),
        (["gpu-09"], {"BROKER": "mqtt://broker:1883"}, "is not mqtts://"),
        (["gpu-09"], {"BROKER": 'mqtts://broker"\nx = "'}, "is not mqtts://"),
        (["gpu-09"], {"OWNER": "nobody-here"}, "no user nobody-here"),
    ],
)
def test_it_refuses_what_would_not_work(
    arguments: list[str], environment: dict[str, str], says: str, centre: Centre, tmp_path: Path
) -> None:
    done = centre.enrol(*arguments, "--root", str(tmp_path), **environment)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr
    assert [name for name in files(tmp_path) if "credentials" in name] == []


def test_a_host_that_cannot_be_reached_is_not_enrolled(centre: Centre) -> None:
    done = centre.enrol("gpu-09", "nobody@host.invalid")
    assert done.returncode == 2
    assert "cannot run commands as root on nobody@host.invalid" in done.stderr


def test_it_enrols_by_ssh(centre: Centre, tmp_path: Path) -> None:
    for name in ("bin", "etc", "work"):
        (tmp_path / name).mkdir()
    ssh = tmp_path / "bin/ssh"
    ssh.write_text(SSH.format(folder=shlex.quote(str(tmp_path))))
    ssh.chmod(0o755)
    said = centre.must_enrol("gpu-09", "root@gpu-09.lab", PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert "next: install torchkeeper" in said
    assert (tmp_path / "targets").read_text() == "root@gpu-09.lab\nroot@gpu-09.lab\n"
    assert set(files(tmp_path / "etc")) == {
        "torchkeeper/credentials/ca.crt",
        "torchkeeper/credentials/mqtt.crt",
        "torchkeeper/credentials/mqtt.key",
        "torchkeeper/torchkeeper.toml",
    }
    again = centre.must_enrol("gpu-09", "root@gpu-09.lab", PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert "nothing to do" in again


def test_a_run_that_was_killed_while_it_made_the_authority_can_be_repeated(centre: Centre, tmp_path: Path) -> None:
    pki, root = tmp_path / "pki", tmp_path / "root"
    (pki / ".stage-killed/host/credentials").mkdir(parents=True)
    (pki / "ca.key").write_text("half a key")
    root.mkdir()
    centre.must_enrol("gpu-09", "--root", str(root), PKI=str(pki))
    run("openssl", "verify", "-CAfile", pki / "ca.crt", root / ETC / "credentials/mqtt.crt")
    assert not (pki / ".stage-killed").exists()


async def test_check_finds_that_the_broker_takes_an_enrolled_host_and_refuses_it_as_another(host: Path) -> None:
    config = host / "check.toml"
    config.write_text(settings(host).replace('"/etc/', f'"{host}/etc/'))
    mqtt = loading.load(config).mqtt
    [own], [another] = await broker_check.run(mqtt, "gpu-09"), await broker_check.run(mqtt, "gpu-10")
    assert (own.ok, "hosts/gpu-09/status comes back" in own.detail) == (True, True), own
    assert (another.ok, "Not authorized" in another.detail) == (False, True), another


def test_shellcheck_finds_nothing() -> None:
    run(Path(sys.executable).with_name("shellcheck"), CONFIG / "enrol")
