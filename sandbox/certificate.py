"""The certificate of the media store: for 127.0.0.1, signed by itself."""

from __future__ import annotations

import datetime
import ipaddress
import os
import shutil
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def self_signed(cache: Path) -> tuple[Path, Path]:
    """Certificate and key for 127.0.0.1; made once per cache, so that it stays trusted across restarts."""
    folder = cache.resolve() / "tls"
    if not folder.exists():
        building = folder.with_suffix(f".{os.getpid()}")
        building.mkdir(parents=True, mode=0o700)
        _make_certificate(building)
        try:
            building.rename(folder)
        except OSError:
            shutil.rmtree(building)  # another process was faster
    return folder / "certificate.pem", folder / "key.pem"


def _make_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox media")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    addresses = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=3650))
        .add_extension(addresses, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_path = folder / "key.pem"
    key_path.touch(mode=0o600)
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
