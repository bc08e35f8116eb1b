"""One GPU host under test: an engine, a configuration, a state folder, and what its operator types."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.core import units
from tests.support import dockerd, images, mosquitto, proc

Json = dict[str, Any]

NAME = "gpu-01"
TTL = 1.0  # seconds, unless a story sets another
WATCHING = "watching the engine"  # what the agent logs once it is proven


class RealHost:
    """What a user does on one machine. Every command is the installed `torchkeeper` in a process of its own."""

    def __init__(self, engine: dockerd.Dockerd, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "torchkeeper.toml"
        self.log = folder / "run.log"
        self._began = time.time()
        self._sections: dict[str, dict[str, object]] = {
            "agent": {"host": NAME, "state_dir": self.state},
            "docker": {"url": engine.url},
            "policy": {"ttl": f"{TTL}s", "min_age": "0s", "local_images": "evict", "change_grace": "0s"},
        }
        self.configure()

    def configure(self, **sections: Mapping[str, object]) -> None:
        """Change some keys of the configuration; the others stay."""
        for section, keys in sections.items():
            self._sections.setdefault(section, {}).update(keys)
        proc.write_config(self.config, **self._sections)

    def report_to(self, broker: mosquitto.Mosquitto, user: str = NAME, password: str = "secret") -> None:
        """Report to a broker as a user."""
        secret = self.folder / "password"
        secret.write_text(f"{password}\n")
        self.configure(mqtt={"url": broker.url, "username": user, "password_file": secret})

    # Commands

    def run(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """A command's result; AssertionError where it ends in a traceback."""
        done = proc.torchkeeper(*args, config=self.config, env=env)
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done

    def output_of(self, *args: str) -> str:
        """What a command that works prints, with runs of white space (and the breaks of a table) as one space."""
        done = self.run(*args)
        assert done.returncode == 0, done.stdout + done.stderr
        return " ".join(done.stdout.split())

    def json(self, *args: str) -> Json:
        """The document of a command that works with `--json`."""
        done = self.run(*args, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout))

    def reasons(self) -> dict[str, str]:
        """What `plan` says of every tagged image: its first reference -> the reason."""
        planned = self.json("plan")["images"]
        return {image["references"][0]: image["reason"] for image in planned if image["references"]}

    def row(self, image: str) -> Json:
        """What `images` says of one image."""
        return self.rows()[image]

    def rows(self) -> dict[str, Json]:
        """What `images` says of every image, by its ID."""
        return {row["id"]: dict(row) for row in self.json("images")["images"]}

    def events(self, image: str) -> list[Json]:
        """What `history` has about one image."""
        return [event for event in self.json("history")["events"] if event["subject"] == image]

    def checks(self) -> tuple[int, dict[str, Json]]:
        """The exit code of `check`, and its findings by name."""
        done = self.run("check", "--json")
        return done.returncode, {item["name"]: item for item in json.loads(done.stdout)["checks"]}

    @contextmanager
    def agent(self, *args: str, ready: Callable[[], object] | None = None) -> Iterator[proc.Daemon]:
        """`torchkeeper run` for as long as the block lasts, from when it watches the engine (or `ready`)."""
        before = self.count_in_log(WATCHING)
        watching = ready or (lambda: self.count_in_log(WATCHING) > before)
        with proc.agent(*args, folder=self.folder, config=self.config, ready=watching) as daemon:
            yield daemon
        assert daemon.returncode() in (0, -signal.SIGKILL)
        assert "Traceback" not in daemon.output(), daemon.tail(60)

    def count_in_log(self, text: str) -> int:
        """How often the agent's log has a text."""
        return self.log.read_text().count(text) if self.log.exists() else 0

    # Images

    def torch(self, ref: str, version: str = "2.4.0", env: Mapping[str, str] | None = None, **more: Any) -> str:
        """Import an image that says it is PyTorch; its ID."""
        return images.import_image(self.engine, ref, env={"PYTORCH_VERSION": version, **(env or {})}, **more)

    def plain(self, ref: str, **more: Any) -> str:
        """Import an image without a sign of PyTorch; its ID."""
        return images.import_image(self.engine, ref, **more)

    def layer_bytes(self, image: str) -> int:
        """The bytes of all layers, and of the compressed ones besides where the engine reports them."""
        unpacked = sum(step["Size"] for step in self.engine.api("GET", f"/images/{image}/history")[1])
        manifests = self.engine.api("GET", f"/images/{image}/json?manifests=1")[1].get("Manifests") or []
        return int(unpacked + sum(manifest["Size"]["Content"] for manifest in manifests))

    def last_event(self, action: str, **about: str) -> str:
        """When the engine last did something, by its own events: `last_event("delete", image=ID)`.

        It may report it only after the act is done: waits for the first such event since the host began.
        """
        filters = [f"--filter={key}={value}" for key, value in {"event": action, **about}.items()]

        def look() -> list[str]:
            span = (f"--since={self._began:.3f}", f"--until={time.time():.3f}")
            return self.engine.docker("events", *span, *filters, "--format={{.TimeNano}}").splitlines()

        times = proc.eventually(look)
        return units.format_time(datetime.fromtimestamp(int(times[-1]) // 1000 / 1e6, UTC))

    def has_image(self, image: str) -> bool:
        return self.engine.api("GET", f"/images/{image}/json")[0] == 200

    def await_gone(self, image: str, timeout: float = proc.PATIENCE) -> None:
        """Wait until the engine no longer knows an image, and reports it: its answer to whoever removed it is due then.

        An agent that is stopped before that answer takes its request back, and the engine may never say it.
        """
        proc.eventually(lambda: not self.has_image(image), timeout)
        self.last_event("delete", image=image)

    def evict_a_control_image(self) -> None:
        """Wait until another idle PyTorch image came and was evicted: what was due before it had its turn."""
        self.await_gone(self.torch("control/pytorch:1"))


def now() -> str:
    """The time, as the agent writes it."""
    return units.format_time(datetime.now(UTC))


def age(text: str | None) -> float:
    """Seconds since an RFC 3339 time."""
    assert text is not None
    return (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()


def seconds_between(first: str | None, second: str | None) -> float:
    """Seconds from one RFC 3339 time to another."""
    assert first is not None
    assert second is not None
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()
