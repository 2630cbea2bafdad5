"""Loads a home as a start does."""

from __future__ import annotations

from signer.home.layout import Home
from signer.keys.file import FileKeyStore
from signer.keys.passphrase import Passphrase
from signer.serving.loaded import LoadedHome, load_home


def loaded_whole(home: Home, passphrase: Passphrase) -> LoadedHome:
    """Return the home, read and checked whole."""
    return load_home(home, lambda: FileKeyStore.open(home.keys, passphrase)).whole()
