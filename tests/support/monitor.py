"""The monitor as a process, and what its API says."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import mosquitto, proc


class Monitor(proc.Daemon):
    """`torchkeeper monitor` with a database in `folder`, which can be killed and started again."""

    def __init__(self, url: str, folder: Path, **keys: object) -> None:
        """`keys`: of the section `[monitor]`."""
        self.database = folder / "fleet.db"
        self.port = mosquitto.free_port()
        own = {"listen": f"127.0.0.1:{self.port}", "database": f"sqlite:///{self.database}", **keys}
        self.config = proc.write_config(folder / "monitor.toml", mqtt={"url": url}, monitor=own)
        super().__init__([*proc.command(), "monitor"], folder / "monitor.log", proc.environment(self.config))

    def start_connected(self) -> None:
        """Start it, and wait until it is connected to the broker."""
        self.start()
        self.wait_until(self.is_connected)

    def is_connected(self) -> bool:
        return self.get("/healthz").get("broker") == "connected"

    def get(self, path: str) -> dict[str, Any]:
        """A document of the API, whatever its status; empty while nothing answers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))
        except OSError:
            return {}


@contextmanager
def running(url: str, folder: Path, **keys: object) -> Iterator[Monitor]:
    """Run a monitor for the block, which begins when it is connected."""
    monitor = Monitor(url, folder, **keys)
    monitor.start_connected()
    try:
        yield monitor
    finally:
        monitor.stop()
