"""A package that needs a library beside it."""
