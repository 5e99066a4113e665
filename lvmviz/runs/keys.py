"""Keys of one engine: whoever cannot read its folder can neither hand it work nor listen.

An open port of the engine would run anyone's code, also that of other users of this machine. So every
connection is TLS with a certificate on both sides, signed by an authority that lives as long as the engine.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lvmviz.runs import files

DAYS = 365  # how long they are good for; a new engine makes new ones


class Keys(NamedTuple):
    """Where the three files of an engine are."""

    authority: Path
    certificate: Path
    key: Path


def keys(folder: Path) -> Keys:
    """Where the keys of an engine in `folder` are, made or not."""
    return Keys(folder / "authority.pem", folder / "certificate.pem", folder / "key.pem")


def make_keys(folder: Path) -> Keys:
    """Make new keys in `folder`, of mode 0600; those of the engine before are worth nothing from then on."""
    signer, key = _private(), _private()
    authority = _certificate("lvmviz authority", signer, "lvmviz authority", signer, authority=True)
    own = _certificate("lvmviz engine", key, "lvmviz authority", signer, authority=False)
    made = keys(folder)
    files.write(made.authority, authority.public_bytes(serialization.Encoding.PEM))
    files.write(made.certificate, own.public_bytes(serialization.Encoding.PEM))
    files.write(made.key, _pem(key))  # the authority's own key is kept nowhere
    return made


def _private() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # a clock set back ends no engine
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), True)
        .add_extension(x509.SubjectAlternativeName(hosts), False)
        .sign(signer, hashes.SHA256())
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
