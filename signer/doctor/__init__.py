"""The checks of `signer doctor`: one file for each subject, each giving findings. They change nothing."""
