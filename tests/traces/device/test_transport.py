"""Mutual TLS of the sender, against a real TLS server."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.spooled import CHAIN, ENVELOPE, frame
from traces.device import Sender, Spool
from traces.device.transport import Tls

NOW = datetime.datetime.now(datetime.UTC)


@dataclass
class Authority:
    """A certificate authority that writes PEM files into a folder."""

    folder: Path
    name: str
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __post_init__(self) -> None:
        self.ca = self._write(f"{self.name}-ca", self.key, self.name, ca=True)[0]

    def issue(self, name: str) -> tuple[Path, Path]:
        """Certificate and key files of a party."""
        return self._write(f"{self.name}-{name}", ec.generate_private_key(ec.SECP256R1()), name)

    def _write(self, file: str, key, subject: str, *, ca: bool = False) -> tuple[Path, Path]:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - datetime.timedelta(days=1))
            .not_valid_after(NOW + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        pem, secret = self.folder / f"{file}.pem", self.folder / f"{file}.key"
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pem, secret


@contextlib.contextmanager
def tls_server(authority: Authority, clients: Authority) -> Iterator[tuple[str, list[str]]]:
    """Acknowledges what devices with a certificate of `clients` send; yields URL and their names."""
    names: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            peer = self.connection.getpeercert()  # pyright: ignore[reportAttributeAccessIssue]
            names.append(dict(pair[0] for pair in peer["subject"])["commonName"])
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Server(HTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    context.load_verify_locations(clients.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_address[1]}", names
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool") as made:
        made.begin(ENVELOPE, CHAIN)
        made.append(frame(0))
        yield made


def sent(spool: Spool, url: str, tls: Tls | None) -> int:
    sender = Sender(spool, url, tls=tls, token=lambda: "secret", timeout_s=5)
    try:
        return sender.send()
    finally:
        sender.stop()


def test_a_device_shows_its_certificate_and_knows_its_server(tmp_path: Path, spool: Spool) -> None:
    plant = Authority(tmp_path, "plant")
    with tls_server(plant, plant) as (url, names):
        assert sent(spool, url, Tls(plant.ca, *plant.issue("pump-07"))) == 1
    assert names == ["pump-07"]


@pytest.mark.parametrize("missing", ["ca", "certificate", "file"])
def test_without_trust_on_both_sides_nothing_is_sent(
    tmp_path: Path, spool: Spool, missing: str
) -> None:
    plant, other = Authority(tmp_path, "plant"), Authority(tmp_path, "other")
    tls = {
        "ca": Tls(other.ca, *plant.issue("pump-07")),
        "certificate": Tls(plant.ca, *other.issue("pump-07")),
        "file": Tls(plant.ca, tmp_path / "no.pem", tmp_path / "no.key"),
    }[missing]
    with tls_server(plant, plant) as (url, names):
        assert sent(spool, url, tls) == 0
    assert names == [] and not spool.is_empty
    assert spool.state.ledger.error
