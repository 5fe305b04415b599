"""The guide's steps for this repository: `invoke --list`."""

from mlops_lab.tasks import namespace

__all__ = ["namespace"]
