"""What a model version is: its artifact, its features and its reference."""
