"""The demo's environment: a private engine and broker, the agent, and a temporary folder, all removed at the end."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import agent
from agent.adapters.mqtt import broker
from agent.config import sections
from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from agent.demo import dockerd, events, images, monitor, process, workspace
from agent.demo.docker_api import Client
from agent.demo.errors import DemoError

HOST = "demo"
TTL = 30.0  # seconds
COMMANDS = 8  # the TTL is at least as long as so many commands take: two and a short run must fit into it
ENGINE_START = 120.0  # seconds
BROKER_START = 60.0  # seconds
AGENT_START = 120.0  # seconds
COMMAND = 120.0  # seconds for one command of torchkeeper


class DemoEnvironment:
    """Opened step by step. `close` undoes each step that was begun, even one that failed half way."""

    def __init__(self, engine_url: str, keep: Path | None, *, with_page: bool = False) -> None:
        self.with_page = with_page
        self.page_url = ""
        self.private = not engine_url
        self.prefix = "" if self.private else images.OWN_PREFIX
        self.run_id = secrets.token_hex(8)
        self.label = f"{images.LABEL}={self.run_id}"
        self.broker_url = ""
        self.ttl = TTL
        self._engine_url = engine_url
        self._keep = keep
        self._undo = AsyncExitStack()
        self._env = {k: v for k, v in os.environ.items() if not k.startswith(("TORCHKEEPER_", "DOCKER_"))}

    async def open(self) -> None:
        """Check the requirements, and create the folders. Raises DemoError before anything is started."""
        if self.with_page:
            monitor.require()
        if self.private:
            dockerd.require()
        self.busybox = images.find_busybox()
        self.folder = workspace.make()
        self._undo.push_async_callback(asyncio.to_thread, workspace.remove, self.folder)
        workspace.require_fit(self.folder)
        self.kept = workspace.kept(self._keep) if self._keep is not None else self.folder
        self.config = self.kept / "torchkeeper.toml"
        self.state = self.kept / "state"
        self.client = Client(self._engine_url or f"unix://{self.folder}/docker.sock")
        self._undo.push_async_callback(self.client.close)

    # The engine

    async def open_engine(self) -> None:
        """Start the private engine, or check the given one. Raises DemoError."""
        if self.private:
            await self._start_engine()
            self._undo.push_async_callback(self._empty_private_engine)
            return
        await self._refuse_leftovers()
        self._undo.push_async_callback(self._remove_images)
        self._undo.push_async_callback(self._remove_containers)

    async def _start_engine(self) -> None:
        self._undo.push_async_callback(process.end_all_of, self.folder)
        folder, name = self.folder, "the private engine (dockerd)"
        engine = process.Daemon(name, dockerd.argv(folder), self.kept / "dockerd.log", dockerd.env(self._env, folder))
        self._undo.push_async_callback(engine.stop)
        await engine.until(self.client.answers, ENGINE_START)

    async def _refuse_leftovers(self) -> None:
        """Raise DemoError if images with the demo's prefix exist already: the agent would evict them."""
        refs = [ref for image in await self.client.images() for ref in image["RepoTags"] or ()]
        own = sorted(ref for ref in refs if ref.startswith(images.OWN_PREFIX))
        if own:
            raise DemoError(f"this engine already has images of a demo; remove them first: docker rmi {' '.join(own)}")

    async def _empty_private_engine(self) -> None:
        """Remove the containers, so that the engine ends at once. If that fails, they are killed with its folder."""
        with contextlib.suppress(DemoError):
            await self._remove_containers()

    async def _remove_containers(self) -> None:
        for container in await self.client.containers(self.label):
            await self.client.remove_container(container["Id"])

    async def _remove_images(self) -> None:
        """Remove the images of this run, those with its label and only its names; children before their bases."""
        left = [item["Id"] for item in await self.client.images(self.label) if self._is_own(item["RepoTags"] or ())]
        for _ in range(3):
            left = [image_id for image_id in left if not await self.client.remove_image(image_id)]
        if left:
            raise DemoError(f"could not remove every image of the demo: docker rmi {' '.join(left)}")

    def _is_own(self, refs: Iterable[str]) -> bool:
        names = {self.prefix + image.ref for image in images.IMAGES} | {"<none>:<none>"}
        return set(refs) <= names

    # The broker

    async def open_broker(self) -> str:
        """Start a private broker. Returns "" if it runs, else why there is none."""
        program = shutil.which("mosquitto")
        if program is None:
            return "no mosquitto here (apt-get install mosquitto)"
        port = _free_port()
        settings = self.folder / "mosquitto.conf"
        # Otherwise mosquitto, started as root, would change to a user who cannot read this folder.
        settings.write_text(f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nlog_dest stderr\n")
        log = self.kept / "mosquitto.log"
        daemon = process.Daemon("mosquitto", [program, "-c", str(settings)], log, self._env)
        self._undo.push_async_callback(daemon.stop)
        try:
            await daemon.until(lambda: _listens(port), BROKER_START)
        except DemoError as error:
            return str(error)
        self.broker_url = f"mqtt://127.0.0.1:{port}"
        return ""

    async def open_monitor(self) -> process.Daemon:
        """Start the monitor and the simulated hosts. Raises DemoError.

        The agent starts later, so the monitor takes all its events from the broker, and shows them as they happen.
        """
        if not self.broker_url:
            raise DemoError("--page: the monitor needs a broker: apt-get install mosquitto")
        port, config = _free_port(), self.kept / "monitor.toml"
        self.page_url = f"http://127.0.0.1:{port}"
        tables = {
            "mqtt": {"url": self.broker_url},
            "monitor": {"listen": f"127.0.0.1:{port}", "database": f"sqlite:///{self.kept / 'fleet.db'}"},
        }
        _write_toml(config, tables)
        daemon = await monitor.start(config, self.page_url, self.kept / "monitor.log", self._command_env())
        self._undo.push_async_callback(daemon.stop)
        await self._undo.enter_async_context(monitor.simulating(self.broker_url))
        return daemon

    async def open_feed(self) -> AsyncIterator[payloads.Event]:
        """The agent's events, from the broker or, without one, from the agent's history."""
        if not self.broker_url:
            return events.from_history(self.state)
        options = broker.options(sections.Mqtt(url=self.broker_url), client_id="torchkeeper-demo-viewer")
        connection = await self._undo.enter_async_context(broker.connect(options))
        return await events.from_broker(connection, Topics("torchkeeper", HOST))

    # The agent

    def write_config(self) -> dict[str, dict[str, object]]:
        """Write the agent's configuration, and return it."""
        sections: dict[str, dict[str, object]] = {
            "agent": {"host": HOST, "state_dir": str(self.state)},
            "docker": {"url": self.client.url},
            "mqtt": {"url": self.broker_url},
            "images": {"include": [f"{self.prefix}*"]} if self.prefix else {},
            "policy": {"ttl": f"{self.ttl:.0f}s", "min_age": "0s", "local_images": "evict", "protect": ["*:latest"]},
        }
        _write_toml(self.config, sections)
        return sections

    def keep_pace(self, took: float) -> None:
        """Make the TTL in the agent's configuration long enough for commands that take `took` seconds."""
        self.ttl = max(TTL, COMMANDS * took)
        self.write_config()

    async def start_agent(self, image_ids: set[str]) -> process.Daemon:
        """Start `torchkeeper run`, and wait until it knows these images. Raises DemoError."""
        argv = [*process.own_command(), "run", "--config", str(self.config)]
        daemon = process.Daemon("the agent", argv, self.kept / "agent.log", self._command_env())
        self._undo.push_async_callback(daemon.stop)

        async def knows_them() -> bool:
            return image_ids <= await events.known_images(self.state)

        await daemon.until(knows_them, AGENT_START)
        return daemon

    async def command(self, *args: str) -> str:
        """Run a command of torchkeeper. Returns its output. Raises DemoError if it fails."""
        running = await asyncio.create_subprocess_exec(
            *(*process.own_command(), *args, "--config", str(self.config)),
            env=self._command_env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(COMMAND):
                out, err = await running.communicate()
        finally:
            if running.returncode is None:
                running.kill()
                await running.wait()
        if running.returncode:
            raise DemoError(f"`torchkeeper {' '.join(args)}` failed: {err.decode(errors='replace').strip()}")
        return out.decode()

    def _command_env(self) -> Mapping[str, str]:
        return self._env | {"PYTHONPATH": str(Path(agent.__file__).resolve().parents[1])}

    # The end

    async def close(self) -> None:
        """Undo all steps, the last one first, also after one of them fails."""
        await self._undo.aclose()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _write_toml(path: Path, sections: Mapping[str, Mapping[str, object]]) -> None:
    tables = (f"[{name}]\n{_toml(keys)}" for name, keys in sections.items())
    path.write_text("# made by `torchkeeper demo`\n" + "\n".join(tables))


def _toml(keys: Mapping[str, object]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
