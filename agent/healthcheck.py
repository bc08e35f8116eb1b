"""Asks the agent on this machine whether it lives: `python -IS healthcheck.py [PORT [PATH]]`.

Exit code 0 if so, else 1. For the HEALTHCHECK of a container. It imports one module of the standard library and nothing
of the package, and is run by its path: with -IS Python starts it in 18 ms of CPU time, where the `torchkeeper` command
takes 224 ms.
"""

import socket
import sys

PORT = 9477  # of [http] listen, by default
PATH = "/healthz/live"  # the monitor has another
TIMEOUT = 5.0  # seconds for the connection, and for the answer


def ask(port: int, path: str) -> str:
    """The first line of the answer to a GET. Raises OSError."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode("ascii"))
        answer = b""
        while b"\r\n" not in answer and len(answer) < 1000:
            more = connection.recv(1000)
            if not more:
                break
            answer += more
    return answer.partition(b"\r\n")[0].decode("ascii", "replace")


def main(arguments: "list[str]") -> int:
    try:
        line = ask(int(arguments[0]) if arguments else PORT, arguments[1] if len(arguments) > 1 else PATH)
    except (OSError, OverflowError, ValueError) as error:
        print(f"it does not answer: {error}")
        return 1
    print(line)
    return 0 if line.split()[1:2] == ["200"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
