"""The monitor as a process, and what its API says."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import mosquitto, proc


class Monitor(proc.Daemon):
    """`torchkeeper monitor` with a database in `folder`, which can be killed and started again."""

    def __init__(self, url: str, folder: Path, *, command: Sequence[str] = (), **keys: object) -> None:
        """`keys`: of the section `[monitor]`. `command`: what runs `torchkeeper`, if not the installed one."""
        self.database = folder / "fleet.db"
        self.port = mosquitto.free_port()
        own = {"listen": f"127.0.0.1:{self.port}", "database": f"sqlite:///{self.database}", **keys}
        self.config = proc.write_config(folder / "monitor.toml", mqtt={"url": url}, monitor=own)
        super().__init__(
            [*(command or proc.command()), "monitor"], folder / "monitor.log", proc.environment(self.config)
        )

    def start_connected(self) -> None:
        """Start it, and wait until it is connected to the broker."""
        self.start()
        self.wait_until(self.is_connected)

    def is_connected(self) -> bool:
        return self.get("/healthz").get("broker") == "connected"

    def get(self, path: str) -> dict[str, Any]:
        """A document of the API, whatever its status; empty while nothing answers."""
        text = self.text(path)
        return dict(json.loads(text)) if text else {}

    def text(self, path: str) -> str:
        """The body of an answer, whatever its status; empty while nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return ""


@contextmanager
def running(url: str, folder: Path, *, command: Sequence[str] = (), **keys: object) -> Iterator[Monitor]:
    """Run a monitor for the block, which begins when it is connected."""
    monitor = Monitor(url, folder, command=command, **keys)
    monitor.start_connected()
    try:
        yield monitor
    finally:
        monitor.stop()
