"""What deploy/ and the Dockerfile promise, held to the program that they start and to each other."""
