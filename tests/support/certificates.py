"""Certificates that sign themselves, made by openssl."""

import subprocess
from pathlib import Path

from tests.support.needs import needs_command

__all__ = ["make_certificate"]


def make_certificate(certificate: Path, key: Path, address: str = "127.0.0.1") -> None:
    """Write a certificate for an address, valid for two days, and its key; what was there is replaced."""
    openssl = needs_command("openssl", "openssl")
    subject = ["-subj", f"/CN={address}", "-addext", f"subjectAltName=IP:{address}", "-days", "2"]
    new = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject]
    subprocess.run([*new, "-keyout", key, "-out", certificate], check=True, capture_output=True)
