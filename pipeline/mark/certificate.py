"""Whose signature stands in files: a certificate with its key, in one file, the key encrypted.

    write_certificate(Path("certificate.pem"), "Zoë Ħ.", "a password")
    with_key = read_certificate(Path("certificate.pem"), "a password")

The file holds the certificate, the root that vouches for it, and the key (PKCS #8, encrypted by scrypt and AES-256). The
key of a root that is made here is thrown away once it has signed: nobody can make a second certificate under it. Readers
that do not know the root say "untrusted", which is true: nobody but its owner vouches for it.

Source: C2PA 2.2, 14.5 "Trust model" (P-256, digital signature, e-mail protection, a root above).
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import BadArgument, KeyRefused
from pipeline.base.installation import extra
from pipeline.base.keyfiles import check_password, known_password, read_key_file, write_key_file
from pipeline.base.limits import MAX_TEXT
from pipeline.base.metadata import clean_text
from pipeline.base.secrets import CERTIFICATE_PASSWORD

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate as X509
    from cryptography.x509 import KeyUsage

CERTIFICATE_BYTES = 64 << 10  # far more than a chain of five has
YEARS = 10


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate that can sign. Its key is never shown."""

    subject: str  # the name that stands in every file
    sha256: str  # hex digest of the certificate
    chain: str = field(repr=False)  # PEM: the certificate first, its root last
    key: EllipticCurvePrivateKey = field(repr=False)

    @property
    def root(self) -> str:
        """PEM of what vouches for it."""
        head = "-----BEGIN CERTIFICATE-----"
        return head + self.chain.rpartition(head)[2]


def write_certificate(path: Path, name: str, password: str, years: int = YEARS) -> None:
    """Make a certificate for `name`, under a root of its own, at a path where nothing is yet.

    Raises BadArgument for a name that no certificate holds, or a path that is taken.
    """
    with extra("c2pa"):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID

    subject = clean_text("--subject", name, MAX_TEXT)
    if not subject.strip() or len(subject) > 64:  # ub-common-name of RFC 5280
        raise BadArgument(name="--subject", value=name[:80], expected="a name of 1 to 64 characters")
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    begins = dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(days=1)
    ends = begins + dt.timedelta(days=365 * years)

    def named(common: str) -> x509.Name:
        attributes = [(x509.NameOID.COMMON_NAME, common), (x509.NameOID.ORGANIZATION_NAME, subject)]
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])

    def made(owner: x509.Name, its_key: ec.EllipticCurvePrivateKey, *, is_root: bool) -> X509:
        public = its_key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(owner)
            .issuer_name(named(f"{subject}, root"[:64]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None), critical=True)
            .add_extension(_usage(is_root=is_root), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
            .sign(root_key, hashes.SHA256())
        )

    root = made(named(f"{subject}, root"[:64]), root_key, is_root=True)
    write_key_file(path, _pem([made(named(subject), key, is_root=False), root], key, password))


def import_certificate(path: Path, chain: Path, key: Path, key_password: str | None, password: str) -> None:
    """Keep a certificate that somebody else made: its chain and its key, at a path where nothing is yet.

    Raises KeyRefused where chain and key are not one, or are no certificate to sign files with.
    """
    certificates = _certificates(read_key_file(chain, CERTIFICATE_BYTES, private=False), chain)
    found = _key(read_key_file(key, CERTIFICATE_BYTES), key_password, key)
    _must_sign(certificates, found, chain)
    write_key_file(path, _pem(certificates, found, password))


def read_certificate(path: Path, password: str) -> Identity:
    """A certificate with its key. Raises KeyRefused for a file that is none, a wrong password, and one that has expired."""
    from hashlib import sha256

    data = read_key_file(path, CERTIFICATE_BYTES, _MISSING)
    certificates = _certificates(data, path)
    key = _key(data, password, path)
    _must_sign(certificates, key, path)
    with extra("c2pa"):
        from cryptography.hazmat.primitives.serialization import Encoding
    chain = "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)
    first = certificates[0]
    return Identity(subject_of(first), sha256(first.public_bytes(Encoding.DER)).hexdigest(), chain, key)


def open_certificate(
    path: Path, environment: Mapping[str, str] = os.environ, ask: Callable[[str], str] | None = None
) -> Identity:
    """The same, with the password from the environment or from somebody who is there. Raises KeyRefused."""
    _certificates(
        read_key_file(path, CERTIFICATE_BYTES, _MISSING), path
    )  # what is wrong with it is said before anybody is asked
    password = known_password(str(path), CERTIFICATE_PASSWORD, environment, ask, new=False)
    return read_certificate(path, password)


def subject_of(certificate: X509) -> str:
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────


def _pem(certificates: list[X509], key: EllipticCurvePrivateKey, password: str) -> bytes:
    from cryptography.hazmat.primitives import serialization as form

    check_password(password)
    secret = key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(password.encode())
    )
    return b"".join(one.public_bytes(form.Encoding.PEM) for one in certificates) + secret


def _certificates(data: bytes, path: Path) -> list[X509]:
    """The chain of a file, the certificate first. Raises KeyRefused."""
    with extra("c2pa"):
        from cryptography import x509
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise KeyRefused(what=path, reason="it holds no certificate", hint=_HINT) from error


def _key(data: bytes, password: str | None, path: Path) -> EllipticCurvePrivateKey:
    """The key of a file. Raises KeyRefused; the library's words are not repeated, they may hold what they refuse."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    start = data.find(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    start = data.find(b"-----BEGIN") if start < 0 else start
    try:
        key = load_pem_private_key(data[max(start, 0) :], password.encode() if password else None)
    except (ValueError, TypeError):
        raise KeyRefused(what=path, reason="wrong password, or it holds no key", hint="check the password") from None
    if not (isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1)):
        raise KeyRefused(what=path, reason="its key is not on the curve P-256", hint=_HINT)
    return key


def _must_sign(certificates: list[X509], key: EllipticCurvePrivateKey, path: Path) -> None:
    """Raise KeyRefused unless the first certificate is of this key, and may sign files now."""
    from cryptography import x509

    first, now = certificates[0], dt.datetime.now(dt.UTC)
    if first.public_key() != key.public_key():
        raise KeyRefused(what=path, reason="its key is not that of its first certificate", hint=_HINT)
    if not first.not_valid_before_utc <= now <= first.not_valid_after_utc:
        ends = first.not_valid_after_utc.date()
        raise KeyRefused(what=path, reason=f"it is valid until {ends}, not today", hint=_HINT)
    try:
        usage = first.extensions.get_extension_for_class(x509.KeyUsage).value
        first.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound as error:
        raise KeyRefused(what=path, reason="it does not say that it may sign files", hint=_HINT) from error
    if not usage.digital_signature or len(certificates) < 2:
        raise KeyRefused(what=path, reason="it may not sign files, or no root stands above it", hint=_HINT)


def _usage(*, is_root: bool) -> KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not is_root,
        key_cert_sign=is_root,
        **dict.fromkeys(
            (
                *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"),
                *("encipher_only", "decipher_only"),
            ),
            False,
        ),
    )


_HINT = "`pipeline certificate new` makes one"
_MISSING = f"check the path; {_HINT}"
