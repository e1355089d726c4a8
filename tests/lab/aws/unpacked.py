"""Code of functions and layers, unpacked once: an environment gets links to it, as Lambda mounts one image often."""

import hashlib
import os
import tempfile
from pathlib import Path
from threading import Lock
from zipfile import ZipFile


class Unpacked:
    """The contents of archives in a directory that has to be there; each is unpacked when it is first asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._unpacking = Lock()

    def of(self, archive: Path) -> Path:
        """The directory with the contents of a zip archive: the same for the same bytes, wherever they are.

        Its files may only be read, as on Lambda. Raises OSError and zipfile's BadZipFile.
        """
        directory = self._directory / hashlib.sha256(archive.read_bytes()).hexdigest()
        with self._unpacking:
            if not directory.exists():
                # Under its name only once it is whole: what fails is tried anew by the next one.
                with tempfile.TemporaryDirectory(dir=self._directory) as unpacking:
                    whole = Path(unpacking) / "whole"
                    _unpack(archive, whole)
                    whole.rename(directory)
        return directory


def _unpack(archive: Path, into: Path) -> None:
    into.mkdir()
    with ZipFile(archive) as opened:
        opened.extractall(into)
    for folder, _, names in os.walk(into):
        for name in names:
            (Path(folder) / name).chmod(0o444)


def link(contents: Path, into: Path) -> None:
    """Let a directory that is there hold these contents: a link for each name at their top."""
    for each in contents.iterdir():
        (into / each.name).symlink_to(each)
