"""The guide's steps for this project."""

from mlops_lab.tasks import namespace

__all__ = ["namespace"]
