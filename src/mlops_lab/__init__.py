"""One environment guide, every hybrid of conda, venv, pip, Poetry and uv, proven the same."""
