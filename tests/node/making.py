"""Keys for nodes of tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from troth.demo.host import _self_signed
from troth.model.certificate import CertificateView


@dataclass(frozen=True)
class Files:
    """A certificate file with its key file."""

    certfile: Path
    keyfile: Path


class Keys:
    """An identity that can be exchanged, as `Served` sees it."""

    def __init__(self, folder: Path, name: str = "node"):
        self._folder, self._name, self._count = folder, name, 0
        self.change()

    def change(self) -> CertificateView:
        """Make another key and certificate."""
        self._count += 1
        certificate, key = _self_signed(self._name)
        self._files = Files(self._folder / f"{self._count}.pem", self._folder / f"{self._count}.key")
        self._files.certfile.write_bytes(certificate)
        self._files.keyfile.write_bytes(key)
        self.view = CertificateView.from_pem(certificate.decode())
        return self.view

    def token(self) -> str:
        """Differ after each change."""
        return str(self._count)

    def context_files(self) -> Files:
        """Give the files of today."""
        return self._files
