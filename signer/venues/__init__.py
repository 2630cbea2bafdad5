"""One folder per exchange that we can speak."""
