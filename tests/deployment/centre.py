"""A centre as the documents describe it: certificates of config/enrol, and mosquitto with config/mosquitto."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.deployment.files import CONFIG
from tests.support import mosquitto, orphans, proc

HOSTS = ("gpu-07", "gpu-08")
CLIENTS = ("torchkeeper-monitor", "torchkeeper-reader")


class Centre(proc.Daemon):
    """One broker with the fleet's configuration; only its port and its paths differ. `credentials` is for clients."""

    def __init__(self, folder: Path) -> None:
        orphans.note_folder(folder)
        self.folder = folder
        self.pki = folder / "pki"
        self.port = mosquitto.free_port()
        self.url = f"mqtts://localhost:{self.port}"
        program = proc.require_program("mosquitto", "mosquitto")
        super().__init__([program, "-v", "-c", str(folder / "config/mosquitto.conf")], folder / "mosquitto.log")

    def set_up(self) -> None:
        """Make all certificates, and the files of the broker, which runs as the user `mosquitto`."""
        self.folder.chmod(0o755)
        self.must_enrol("--broker", "localhost,127.0.0.1", OWNER="mosquitto")
        for host in HOSTS:
            self.root(host).mkdir()
            self.must_enrol(host, "--root", str(self.root(host)))
        for client in CLIENTS:
            self.must_enrol("--client", client)
        config, data = self.folder / "config", self.folder / "data"
        shutil.copytree(CONFIG / "mosquitto", config)
        data.mkdir()
        shutil.chown(data, "mosquitto", "mosquitto")
        self.give_files()
        text = (config / "mosquitto.conf").read_text().replace("listener 8883", f"listener {self.port} 127.0.0.1")
        text = text.replace("/mosquitto/config", str(config)).replace("/mosquitto/data", str(data))
        (config / "mosquitto.conf").write_text(text)

    def give_files(self) -> None:
        """Copy the files that enrol made for the broker to where it reads them."""
        tls = self.folder / "config/tls"
        tls.mkdir(exist_ok=True)
        for file in (self.pki / "broker").iterdir():
            shutil.copy2(file, tls)
            shutil.chown(tls / file.name, "mosquitto")

    def start(self) -> None:
        """Start it and wait until it listens."""
        super().start()
        self.wait_until(lambda: proc.listens(self.port))

    def root(self, host: str) -> Path:
        """The root folder of a host."""
        return self.folder / host

    def enrol(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run config/enrol. Keys of hosts get an owner that exists here."""
        settings = {"PKI": str(self.pki), "BROKER": self.url, "OWNER": "65532"} | environment
        return subprocess.run(
            [str(CONFIG / "enrol"), *args],
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def must_enrol(self, *args: str, **environment: str) -> str:
        """Run config/enrol, and return what it says. Raises AssertionError if it fails."""
        done = self.enrol(*args, **environment)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def credentials(self, name: str) -> Path:
        """The folder with ca.crt, mqtt.crt and mqtt.key of a host or of a client at the centre."""
        return self.root(name) / "etc/torchkeeper/credentials" if name in HOSTS else self.pki / "clients" / name


@contextmanager
def running() -> Iterator[Centre]:
    """Run a centre for the block, with two hosts, a monitor and a reader that have certificates."""
    proc.require_root()
    folder = Path(tempfile.mkdtemp(prefix="tk-", dir="/tmp"))
    try:
        centre = Centre(folder)
        centre.set_up()
        centre.start()
        try:
            yield centre
        finally:
            centre.stop()
    finally:
        shutil.rmtree(folder)
