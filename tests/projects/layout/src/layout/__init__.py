"""A package whose manifest is laid out by hand."""
