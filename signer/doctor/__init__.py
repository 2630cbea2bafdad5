"""What `signer doctor` looks at: one file for each subject, each giving findings. Nothing is changed by looking."""
