"""The home folder on disk: its layout, settings, lock and private files."""
