"""TLS of a connection: the context from the files of `[mqtt]`, and a failure in plain words, with the way out."""

import os
import ssl
from datetime import UTC, datetime
from pathlib import Path

from agent.adapters.broker import LoginRefused, Options
from agent.adapters.mqtt import certificates
from agent.core import units

_HOST_MISMATCH, _ADDRESS_MISMATCH, _EXPIRED, _NOT_YET_VALID = 62, 64, 10, 9  # verify codes of OpenSSL
_NO_TLS = {"WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}
_CLIENT_CERTIFICATE = {  # the broker's alerts about it, and what they mean
    "CERTIFICATE_EXPIRED": "it has expired",
    "CERTIFICATE_REVOKED": "it has been revoked",
    "UNKNOWN_CA": "the broker does not know the authority that signed it",
    "BAD_CERTIFICATE": "the broker finds it bad",
    "CERTIFICATE_UNKNOWN": "the broker does not accept it",
    "UNSUPPORTED_CERTIFICATE": "the broker does not accept its kind",
    "ACCESS_DENIED": "the broker denies access to it",
    "DECRYPT_ERROR": "it does not fit its key",
}


def make_context(options: Options) -> ssl.SSLContext | None:
    """The TLS of a connection; None without TLS. Raises LoginRefused, which names the key and the file."""
    if not options.tls:
        return None
    for key, path in files(options):
        read(key, path)
    context = _context_with_authorities(options)
    if options.cert_file:
        _load_own_certificate(context, options)
    return context


def files(options: Options) -> list[tuple[str, str]]:
    """The key and the path of each file of TLS that is set."""
    keys = {"mqtt.ca_file": options.ca_file, "mqtt.cert_file": options.cert_file, "mqtt.key_file": options.key_file}
    return [(key, path) for key, path in keys.items() if path]


def read(key: str, path: str) -> bytes:
    """The content of a file of `[mqtt]`. Raises LoginRefused."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        hint = f"put the file there, or correct {key}"
        if isinstance(error, PermissionError):
            hint = f"let the user with uid {os.geteuid()} read it and enter the folders above it"
        raise LoginRefused(f"{key}: {path}: cannot be read: {error.strerror or error}", hint) from None
    except ValueError as error:  # a NUL in the path
        raise LoginRefused(f"{key}: cannot be read: {error}", f"correct {key}") from None


def _context_with_authorities(options: Options) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=options.ca_file or None)
    except (OSError, ValueError):
        detail = f"mqtt.ca_file: {options.ca_file}: has no certificate in PEM form"
        raise LoginRefused(detail, "put the certificate of the broker's authority there") from None


def _load_own_certificate(context: ssl.SSLContext, options: Options) -> None:
    cert, key = options.cert_file, options.key_file or options.cert_file
    try:
        context.load_cert_chain(cert, key, password=_no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            detail = f"mqtt.key_file: {key}: is not the key of the certificate in mqtt.cert_file, {cert}"
            raise LoginRefused(detail, "replace both files together") from None
        detail = f"mqtt.cert_file, mqtt.key_file: {cert}, {key}: cannot be used: {error.reason or 'no PEM'}"
        raise LoginRefused(detail, "write the certificate and its key there in PEM form") from None
    except (OSError, ValueError) as error:
        raise LoginRefused(f"mqtt.key_file: {key}: cannot be used: {error}") from None


def _no_passphrase() -> str:
    """Called if the key is encrypted; without this, OpenSSL would ask for the passphrase on the terminal."""
    raise ValueError("the key is encrypted; store it without a passphrase")


def describe_failure(reason: OSError, options: Options) -> tuple[str, str]:
    """Why a handshake failed, and what to do."""
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _describe_server_certificate(reason, options)
    name = getattr(reason, "reason", None) or ""
    code = _alert(name)
    if found := describe_alert(code, options):
        return found
    if code != name:  # an alert: the broker speaks TLS
        return f"the broker ended TLS: {code.lower().replace('_', ' ')}", "does it allow TLS 1.2 or 1.3?"
    if code in _NO_TLS or isinstance(reason, ConnectionError):
        return "its port does not answer in TLS", f"write {_without_tls(options)} in mqtt.url, or the broker's TLS port"
    why = code.lower().replace("_", " ") if code else reason.strerror or str(reason)
    hint = f"is it a port with TLS? Without it, write {_without_tls(options)} in mqtt.url"
    return f"TLS failed: {why}", hint


def describe_alert(name: str, options: Options) -> tuple[str, str] | None:
    """What the broker says about the client certificate, and what to do; None if the alert is about something else."""
    alert, own = _alert(name), options.cert_file
    if alert == "CERTIFICATE_REQUIRED" or (alert in ("HANDSHAKE_FAILURE", *_CLIENT_CERTIFICATE) and not own):
        return "the broker requires a client certificate", "set mqtt.cert_file and mqtt.key_file"
    if alert not in _CLIENT_CERTIFICATE:
        return None
    renew = alert in ("CERTIFICATE_EXPIRED", "CERTIFICATE_REVOKED")
    hint = "issue a new one" if renew else "the broker must trust its authority (mosquitto: cafile)"
    return f"the broker rejects mqtt.cert_file, {own}: {_CLIENT_CERTIFICATE[alert]}{_since(options)}", hint


def describe_hang_up(options: Options) -> tuple[str, str]:
    """What a connection may lack that ends right after the handshake: the broker's alert may be lost on the way."""
    if not options.cert_file:
        return "it ended the connection after the TLS handshake", (
            "is it an MQTT broker, and does it require mqtt.cert_file and mqtt.key_file?"
        )
    if since := _since(options):
        return f"it ended the connection; mqtt.cert_file, {options.cert_file}: has expired{since}", "issue a new one"
    hint = f"is it an MQTT broker, and does it accept mqtt.cert_file, {options.cert_file}?"
    return "it ended the connection after the TLS handshake", hint


def _describe_server_certificate(error: ssl.SSLCertVerificationError, options: Options) -> tuple[str, str]:
    if error.verify_code in (_HOST_MISMATCH, _ADDRESS_MISMATCH):
        return (
            f"its certificate is not valid for the name {options.host!r}",
            "write a name in mqtt.url that its certificate has, or issue the certificate for this name",
        )
    if error.verify_code == _EXPIRED:
        return "its certificate has expired", "renew it on the broker; is this host's clock right?"
    if error.verify_code == _NOT_YET_VALID:
        return "its certificate is not valid yet", "is this host's clock right?"
    why = error.verify_message
    if options.ca_file:
        hint = "write the certificate of the authority that signed the broker's there"
        return f"its certificate is not signed by an authority in mqtt.ca_file, {options.ca_file} ({why})", hint
    return (
        f"its certificate is not signed by an authority that this system trusts ({why})",
        "set mqtt.ca_file to the certificate of your own authority",
    )


def _alert(name: str) -> str:
    """OpenSSL's name of an error, without the version of TLS: `TLSV13_ALERT_X`, `SSLV3_ALERT_X` and `X` are one."""
    return name.rpartition("_ALERT_")[2]


def _since(options: Options) -> str:
    """When the own certificate expired, as the end of a sentence; "" if it did not or cannot be read."""
    try:
        expires = certificates.expiry(Path(options.cert_file))
    except (OSError, ValueError):
        return ""
    return f" (on {units.format_time(expires)})" if expires <= datetime.now(UTC) else ""


def _without_tls(options: Options) -> str:
    return "ws://" if options.path else "mqtt://"
