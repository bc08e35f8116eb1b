"""Whether the program in this container answers: the HEALTHCHECK of the image.

    python -IS healthcheck.py [PORT [PATH]]

It asks `http://127.0.0.1:PORT/PATH` (default: 9477, /healthz/live) and exits with 0 if the answer is 200, else with 1.
Only the modules of the interpreter itself are imported: Docker runs it every minute, and it must cost nothing.
"""

import socket
import sys

PORT = "9477"  # of [http] listen, by default
PATH = "/healthz/live"
TIMEOUT = 4.0  # seconds for the connection, and for each part of the answer


def ask(port: int, path: str) -> str:
    """The first line of the answer to a GET of the path. Raises OSError."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        while b"\r\n" not in answer and len(answer) < 1000:
            more = connection.recv(1000)
            if not more:
                break
            answer += more
    return answer.partition(b"\r\n")[0].decode("ascii", "replace")


def main(arguments: list[str]) -> int:
    port, path = [*arguments, *(PORT, PATH)[len(arguments) :]][:2]
    try:
        line = ask(int(port), path)
    except (OSError, OverflowError, ValueError) as error:
        print(f"no answer from 127.0.0.1:{port}{path}: {error}", file=sys.stderr)
        return 1
    print(line)
    return 0 if line.split()[1:2] == ["200"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
