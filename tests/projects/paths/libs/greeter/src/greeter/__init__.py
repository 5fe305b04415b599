"""A library beside the project."""
