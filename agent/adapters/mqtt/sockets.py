"""The sockets of one connection: TCP, TLS over it, and a WebSocket over these. Uses private parts of paho's client."""

import socket
import ssl
from datetime import datetime
from functools import partial
from typing import Any

from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import WebsocketConnectionError

from agent.adapters.mqtt import certificates
from agent.adapters.mqtt.errors import NoWebSocket, TlsFailed

CONNECT_TIMEOUT = 5.0  # seconds, for the TCP connection and again for the TLS handshake


class Sockets:
    """Opens the sockets of one paho client, in the thread that connects, and closes them if one of them fails."""

    def __init__(self, client: PahoClient, host: str, context: ssl.SSLContext | None, *, websocket: bool) -> None:
        """`host`: the name that the broker's certificate must have. `context`: None without TLS."""
        self.certificate_expires: datetime | None = None  # the broker's certificate; None without TLS
        self._client = client
        self._opened: list[socket.socket] = []
        if context is not None:
            client._ssl_wrap_socket = partial(self._encrypt, context, host)  # type: ignore[method-assign]
        if websocket:
            self._connect_tcp = client._create_socket_connection
            client._create_socket_connection = self._connect  # type: ignore[method-assign]
            client._create_socket = self._open_websocket  # type: ignore[method-assign]

    def _connect(self) -> socket.socket:
        self._opened.append(self._connect_tcp())
        return self._opened[-1]

    def _encrypt(self, context: ssl.SSLContext, host: str, tcp: socket.socket) -> ssl.SSLSocket:
        """Start TLS on an open socket, which is closed if that fails. Raises TlsFailed."""
        encrypted = context.wrap_socket(tcp, server_hostname=host, do_handshake_on_connect=False)
        try:
            encrypted.settimeout(CONNECT_TIMEOUT)
            encrypted.do_handshake()
        except OSError as error:
            encrypted.close()
            raise TlsFailed(error) from None
        except BaseException:
            encrypted.close()
            raise
        self._opened.append(encrypted)
        self.certificate_expires = certificates.expiry_of_peer(encrypted)
        return encrypted

    def _open_websocket(self) -> Any:
        """Open a WebSocket. Raises NoWebSocket if there is none; paho would leave the sockets below it open."""
        try:
            return PahoClient._create_socket(self._client)
        except BaseException as error:
            for opened in self._opened:
                opened.close()
            if self._opened and isinstance(error, WebsocketConnectionError | TimeoutError):
                raise NoWebSocket(str(error)) from None
            raise
