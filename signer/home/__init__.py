"""What lies on disk: the home folder, its settings, its lock, and files that are private."""
