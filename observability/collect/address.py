"""Where a receiver may listen, and by which names it may be called: those of this machine, and no others."""

from __future__ import annotations

import ipaddress
import socket

from traces.errors import WrongUse

_PORTS = 65536


def is_loopback(host: str) -> bool:
    """Whether a name or address, without brackets, is this machine's own.

    >>> [is_loopback(host) for host in ("Localhost", "127.0.0.2", "::1", "192.0.2.1", "localhost.example")]
    [True, True, True, False, False]
    """
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Listen there; port 0 takes a free one. Raises WrongUse where that cannot be."""
    if not is_loopback(host):
        raise WrongUse(
            f"--host {host}",
            "a loopback address",
            "other addresses need device credentials, which this version does not have",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        if not 0 <= port < _PORTS:
            raise OSError(f"ports are 0 to {_PORTS - 1}")
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise WrongUse(
            f"port {port}, which cannot be had: {error}",
            "a free port",
            "--port with another number",
        ) from error


def url_of(host: str, port: int) -> str:
    """What others on this machine call it by.

    >>> url_of("::1", 4318)
    'http://[::1]:4318'
    """
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
