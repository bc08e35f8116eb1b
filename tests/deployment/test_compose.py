"""Docker Compose accepts the files, and they give each container what it needs and no more."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
import pytest

import agent
from agent.config import loading
from agent.fleet.web import access_rules
from tests.deployment.files import CONFIG, fetched, for_real, run, yaml_of
from tests.support import dockerd, images, proc

COMPOSE = CONFIG / "compose"
FILES = sorted(path.name for path in COMPOSE.glob("*.yaml"))
SOCKET = "/var/run/docker.sock"
SETTINGS = {"DOCKER_GID": "998", "DISK_WITNESS": "/var/lib/docker/torchkeeper-witness"}
IMAGE = "debian:test"


@functools.cache
def resolved(name: str, *more: str, without: str = "") -> Any:
    """What Docker Compose makes of a file, where one of the settings may be missing."""
    settings = {key: value for key, value in SETTINGS.items() if key != without}
    return json.loads(
        run(
            fetched("compose"), "--file", COMPOSE / name, *more, "config", "--format=json",
            env={"PATH": proc.SYSTEM_PATH} | settings,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def host() -> Any:
    return resolved("host.yaml", "--profile=*")["services"]


@pytest.fixture(scope="module")
def centre() -> Any:
    return resolved("centre.yaml", "--profile=*")["services"]


def targets(service: Any) -> set[str]:
    return {volume["target"] for volume in service["volumes"]}


def test_the_schema_of_compose_accepts_the_files() -> None:
    files = [COMPOSE / name for name in FILES]
    run(Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema=vendor.compose-spec", *files)


@pytest.mark.parametrize("missing", sorted(SETTINGS))
def test_compose_says_what_to_set(missing: str) -> None:
    with pytest.raises(AssertionError, match=f"{missing} is missing a value: "):
        resolved("host.yaml", without=missing)


def test_only_the_proxy_has_the_socket_and_it_has_no_network(host: Any) -> None:
    proxy, own = host["engine-proxy"], host["agent"]
    assert (SOCKET in targets(proxy), SOCKET in targets(own)) == (True, False)
    assert (proxy["network_mode"], proxy["group_add"], own.get("group_add")) == ("none", ["998"], None)
    shared = {volume["source"] for volume in own["volumes"]} & {volume["source"] for volume in proxy["volumes"]}
    assert shared == {"proxy"}
    assert own["environment"]["TORCHKEEPER_DOCKER__URL"] == f"unix://{proxy['environment']['PROXY_SOCKET']}"


def test_the_agent_can_see_the_machine_its_reboots_and_its_disk(host: Any) -> None:
    mounts = {volume["target"]: volume for volume in host["agent"]["volumes"]}
    read_only = {target for target, volume in mounts.items() if volume.get("read_only")}
    assert {"/etc/machine-id", "/var/log/wtmp", "/var/lib/docker", "/etc/torchkeeper", "/run/torchkeeper"} == read_only
    assert mounts["/var/lib/docker"]["source"] == SETTINGS["DISK_WITNESS"]
    assert mounts["/var/lib/torchkeeper"]["type"] == "volume"


@pytest.mark.parametrize("name", FILES)
def test_no_container_has_a_privilege_or_writes_to_its_image(name: str) -> None:
    for service in resolved(name, "--profile=*")["services"].values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["user"].split(":")[0] not in ("0", "root")
        assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & service.keys()


def test_of_the_centre_only_the_broker_is_open_to_others(centre: Any) -> None:
    published = {
        (name, port["host_ip"], port["target"]) for name, service in centre.items() for port in service.get("ports", ())
    }
    assert published == {("mosquitto", "0.0.0.0", 8883), ("monitor", "127.0.0.1", 9478), ("grafana", "127.0.0.1", 3000)}
    assert list(centre["postgres"]["networks"]) == ["inside"]
    assert resolved("centre.yaml")["networks"]["inside"]["internal"] is True


def test_without_its_profile_there_is_no_postgresql() -> None:
    assert set(resolved("centre.yaml")["services"]) == {"mosquitto", "monitor", "prometheus", "grafana"}


def test_every_file_that_the_centre_mounts_from_the_project_is_there(centre: Any) -> None:
    sources = {Path(volume["source"]) for service in centre.values() for volume in service["volumes"]}
    own = {path for path in sources if path.is_relative_to(CONFIG)}
    assert {path.name for path in own} == {
        "acl", "dashboards", "monitor.toml", "mosquitto.conf", "prometheus", "provisioning",
    }  # fmt: skip
    assert [path for path in own if not path.exists()] == []


def test_the_configuration_of_the_monitor_is_one_that_it_accepts(tmp_path: Path, centre: Any) -> None:
    token, config = tmp_path / "viewer_token", tmp_path / "monitor.toml"
    token.write_text("0123456789abcdef" * 4)
    config.write_text((COMPOSE / "monitor.toml").read_text().replace("/run/secrets/viewer_token", str(token)))
    settings = loading.load(config)
    assert access_rules.load(settings.monitor).mode == "token"
    assert settings.monitor.listen.endswith(f":{centre['monitor']['ports'][0]['target']}")
    mounted = targets(centre["monitor"])
    assert "/run/secrets/viewer_token" in mounted
    assert str(Path(str(settings.mqtt.key_file)).parent) in mounted


class Started:
    """host.yaml on an engine of its own, with a Debian that has HAProxy and Python instead of both images."""

    def __init__(self, engine: dockerd.Dockerd, folder: Path) -> None:
        self.engine = engine
        self._override = folder / "override.yaml"
        self._override.write_text(json.dumps({"services": {"agent": self._agent()}}))
        witness, etc = engine.folder / "data/torchkeeper-witness", folder / "etc"
        witness.mkdir()
        etc.mkdir()
        (etc / "torchkeeper.toml").write_text(
            '[agent]\nhost = "gpu-07"\n[policy]\nttl = "3s"\nmin_age = "0s"\nlocal_images = "evict"\n'
        )
        self._env = {
            "PATH": proc.SYSTEM_PATH, "DOCKER_HOST": engine.url, "DOCKER_GID": str(engine.socket.stat().st_gid),
            "ENGINE_SOCKET": str(engine.socket), "DISK_WITNESS": str(witness), "TORCHKEEPER_ETC": str(etc),
            "DOCKER_ROOT": str(engine.folder / "data"), "TORCHKEEPER_IMAGE": IMAGE, "HAPROXY_IMAGE": IMAGE,
            "WTMP": os.devnull, "HOME": str(folder),
        }  # fmt: skip

    def _agent(self) -> dict[str, object]:
        tree, packages = Path(agent.__file__).parents[1], Path(pydantic.__file__).parents[1]
        return {
            "entrypoint": ["python3", "-m", "agent"],
            "command": ["run"],
            "network_mode": "none",
            "environment": {"PYTHONPATH": "/srv/tree:/srv/packages", "PYTHONDONTWRITEBYTECODE": "1"},
            "volumes": [f"{tree}:/srv/tree:ro", f"{packages}:/srv/packages:ro"],
        }

    def compose(self, *command: str) -> subprocess.CompletedProcess[str]:
        argv = [str(fetched("compose")), "-f", str(COMPOSE / "host.yaml"), "-f", str(self._override), *command]
        return subprocess.run(argv, env=self._env, capture_output=True, text=True, check=False)

    def logs(self) -> str:
        return self.compose("logs", "--no-color").stdout


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    with dockerd.running() as engine:
        engine.docker("import", str(fetched("systemd")), IMAGE)
        # The image of the agent makes this folder for its user.
        changed = f"FROM {IMAGE}\nRUN install -d -o 65532 -g 65532 -m 750 /var/lib/torchkeeper\n"
        engine.docker("build", "--network=none", f"--tag={IMAGE}", "-", stdin=changed.encode())
        host = Started(engine, tmp_path_factory.mktemp("compose"))
        up = host.compose("up", "--detach")
        assert up.returncode == 0, up.stderr
        try:
            yield host
        finally:
            host.compose("down", "--volumes", "--timeout=10")


@for_real
def test_the_agent_of_host_yaml_evicts_through_the_proxy(started: Started) -> None:
    try:
        proc.eventually(lambda: "watching the engine" in started.logs())
        images.import_image(started.engine, "teamai/pytorch:2.4.0-cuda12.1", env={"PYTORCH_VERSION": "2.4.0"})
        proc.eventually(lambda: "teamai/pytorch:2.4.0-cuda12.1" not in started.engine.references())
    except AssertionError as error:
        raise AssertionError(f"{error}\n{started.logs()[-4000:]}") from None
    assert "status=403" not in started.logs()


@for_real
def test_the_agent_of_host_yaml_sees_the_disk_of_the_engine(started: Started) -> None:
    done = started.compose("exec", "--no-TTY", "agent", "python3", "-m", "agent", "check", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert (checks["engine"]["ok"], checks["disk"]["ok"], checks["state"]["ok"]) == (True, True, True), checks
    assert "%" in checks["disk"]["detail"]


def test_no_version_of_an_image_is_left_open() -> None:
    """`latest` of another project would change what runs without anybody's decision."""
    for name in FILES:
        for service in yaml_of(COMPOSE / name)["services"].values():
            default = service["image"].partition(":-")[2].rstrip("}")
            assert default.startswith("torchkeeper") or not default.endswith(":latest")
            assert ":" in default
