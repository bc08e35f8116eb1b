"""Whether the program in this container answers: the HEALTHCHECK of the image.

    python -IS healthcheck.py [PORT [PATH]]

It asks `http://127.0.0.1:PORT/PATH` (default: 9477, /healthz/live) and exits with 0 if the answer is 200, else with 1.
Only the modules of the interpreter itself are imported: Docker runs it every minute, and it must cost nothing.
"""

import socket
import sys

TIMEOUT = 4.0  # seconds


def is_alive(port: int, path: str) -> bool:
    """Whether a GET of the path is answered with 200 in time."""
    request = f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
            connection.sendall(request)
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    port, path = [*arguments, *("9477", "/healthz/live")[len(arguments) :]][:2]
    if is_alive(int(port), path):
        return 0
    print(f"no answer from 127.0.0.1:{port}{path}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
