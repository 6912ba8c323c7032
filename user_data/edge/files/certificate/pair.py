"""A certificate with its chain and key: from a secret's text, with every mistake that would break the site refused.

Pure: no network, no files, no clock. No message has anything of the key in it.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

_BLOCK = re.compile(r"-----BEGIN (?P<label>[A-Z0-9 ]+)-----\s.*?-----END (?P=label)-----", re.DOTALL)
_FORM = (
    "Store JSON with the keys certificate (the site's own first, then its intermediates) and private_key, "
    "both in PEM, or one PEM text with all of them"
)
SMALLEST_RSA = 2048
"""Bits. OpenSSL, as Debian sets it up, serves no smaller key."""
CURVES = ("secp256r1", "secp384r1")
"""Those that browsers take."""


class CertificateError(Exception):
    """What a secret holds can't be served. The message says why, and how to mend it."""


@dataclass(frozen=True)
class Pair:
    """What Nginx serves."""

    chain: str
    """PEM: the site's own certificate, then its intermediates."""
    key: str
    """PEM."""
    names: tuple[str, ...]
    """The host names and addresses that it is for."""
    not_after: datetime

    @property
    def id(self) -> str:
        """The same for the same chain and key."""
        return hashlib.sha256(f"{self.chain}{self.key}".encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"the certificate for {', '.join(self.names)}, valid until {self.not_after:%Y-%m-%d %H:%M} UTC"

    def __repr__(self) -> str:
        return f"<{self}>"  # a dataclass's own would show the key


def parse(secret: str, now: datetime) -> Pair:
    """The pair in a secret's text. CertificateError when it can't be served at `now`."""
    blocks = _blocks(secret)
    chain_blocks = [text for label, text in blocks if label == "CERTIFICATE"]
    key_blocks = [text for label, text in blocks if label.endswith("PRIVATE KEY")]
    if not chain_blocks:
        raise CertificateError(f"it holds no certificate in PEM. {_FORM}.")
    if len(key_blocks) != 1:
        raise CertificateError(f"it holds {len(key_blocks)} private keys in PEM, and there must be one. {_FORM}.")
    chain, key = "".join(chain_blocks), key_blocks[0]
    certificates = _certificates(chain)
    _check_key(certificates[0], key)
    _check_order(certificates)
    _check_dates(certificates[0], now)
    return _pair(chain, key, certificates[0])


def read(chain: str, key: str) -> Pair:
    """The pair that was found good once and put on disk; it may have expired since."""
    return _pair(chain, key, _certificates(chain)[0])


def _pair(chain: str, key: str, own: x509.Certificate) -> Pair:
    return Pair(chain, key, _names(own), own.not_valid_after_utc)


def _blocks(secret: str) -> list[tuple[str, str]]:
    """Each PEM block's label and text. What stands between them is for people."""
    texts = [secret]
    if secret.lstrip().startswith("{"):
        try:
            fields = json.loads(secret)
            texts = [fields["certificate"], fields["private_key"]]
        except (ValueError, KeyError):
            # `from None`: a JSON error quotes the text that it failed on.
            raise CertificateError(f"it isn't JSON with certificate and private_key. {_FORM}.") from None
        if not all(isinstance(each, str) for each in texts):
            raise CertificateError(f"certificate and private_key must be text. {_FORM}.")
    return [(found["label"], found[0] + "\n") for text in texts for found in _BLOCK.finditer(text)]


def _certificates(chain: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(chain.encode())
    except ValueError as error:
        raise CertificateError(f"its certificate can't be read ({error}). Copy the PEM text again, whole.") from error


def _check_key(own: x509.Certificate, text: str) -> None:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError:
        remedy = "Store it without one (openssl pkey -in key.pem): Secrets Manager encrypts it."
        raise CertificateError(f"its private key has a passphrase. {remedy}") from None
    except (ValueError, UnsupportedAlgorithm):
        # `from None`: what the parser says may be about the key's own bytes.
        raise CertificateError("its private key can't be read. Copy the PEM text again, whole.") from None
    if isinstance(key, rsa.RSAPrivateKey):
        fits = key.key_size >= SMALLEST_RSA
    else:
        fits = isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES
    if not fits:
        raise CertificateError(
            f"its private key is of a kind that browsers don't take. Have a certificate made for an ECDSA key on P-256 "
            f"or P-384, or for an RSA key of {SMALLEST_RSA} bits or more."
        )
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != own.public_key().public_bytes(*form):
        raise CertificateError(
            "its private key doesn't fit its first certificate. Store the key that the certificate was requested with, "
            "and the site's own certificate before its intermediates."
        )


def _check_order(certificates: Sequence[x509.Certificate]) -> None:
    """An intermediate of last year's chain is how renewals break: clients that don't fetch the right one refuse."""
    for place, (certificate, issuer) in enumerate(pairwise(certificates), start=1):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            raise CertificateError(
                f"certificate {place} of its chain isn't issued by the one after it. Store the chain that came with "
                "the certificate: the site's own first, then each one's issuer."
            ) from None


def _check_dates(own: x509.Certificate, now: datetime) -> None:
    if now >= own.not_valid_after_utc:
        raise CertificateError(
            f"its certificate expired on {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC. Renew it, and store the new one."
        )
    if now < own.not_valid_before_utc:
        raise CertificateError(
            f"its certificate isn't valid before {own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC. Store it then; until "
            "then, the one before."
        )


def _names(own: x509.Certificate) -> tuple[str, ...]:
    names: list[str] = []
    try:
        found = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += found.get_values_for_type(x509.DNSName)
        names += map(str, found.get_values_for_type(x509.IPAddress))
    except (x509.ExtensionNotFound, ValueError):
        pass
    if not names:
        raise CertificateError(
            "its certificate has no subject alternative names, and browsers read no others. Have one made with them."
        )
    return tuple(names)
