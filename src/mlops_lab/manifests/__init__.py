"""One reader per format, each with file, line and column in its errors; nothing here writes or resolves."""
