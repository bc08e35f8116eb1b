"""A socket that answers every request with 200 and records it, in place of an engine behind a proxy."""

import shutil
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
LINE = b'{"Type":"container"}\n'


class RecordingEngine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """`requests` has the first line of each request. The event stream stays open, and sends a line when asked to."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Handler)
        self.path = path
        self.requests: list[str] = []
        self.hanging = False  # whether other calls than the stream get no answer
        self.speak = threading.Event()  # set: the stream sends one line
        self.left = threading.Event()  # set: the proxy closed a stream, or a call without an answer

    def drain(self) -> list[str]:
        """The requests since the last call."""
        found, self.requests = self.requests, []
        return found


class _Handler(socketserver.StreamRequestHandler):
    server: RecordingEngine

    def handle(self) -> None:
        first = self.rfile.readline().decode().strip()
        if not first:  # a connection of the proxy that it did not use
            return
        self.server.requests.append(first.removesuffix(" HTTP/1.1"))
        while self.rfile.readline().strip():
            pass
        if "/events?" in first:
            self._stream()
        elif self.server.hanging:
            self._await_end()
        else:
            self.wfile.write(ANSWER)

    def _stream(self) -> None:
        self.wfile.write(STREAM)
        watcher = threading.Thread(target=self._await_end, daemon=True)
        watcher.start()
        while not self.server.left.is_set():
            if self.server.speak.wait(0.05):
                self.server.speak.clear()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(LINE), LINE))

    def _await_end(self) -> None:
        self.rfile.read(1)
        self.server.left.set()


@contextmanager
def running() -> Iterator[RecordingEngine]:
    """Serve for the block, on a socket in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="tk-", dir="/tmp"))
    try:
        with RecordingEngine(folder / "docker.sock") as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            thread.start()
            yield server
            server.shutdown()
    finally:
        shutil.rmtree(folder)
