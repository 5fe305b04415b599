"""The sessions of this project."""

from mlops_lab.sessions import check, parity

__all__ = ["check", "parity"]
