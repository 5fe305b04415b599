"""The documented commands that no page's reader types: why not, and the test that proves what they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CLAIMS", "Claim"]


@dataclass(frozen=True)
class Claim:
    """What is said of a command.

    Attributes:
        why: Why it is not typed.
        by: The file below this repository, and the test in it, that prove it: `tests/real/test_x.py::test_y`.
    """

    why: str
    by: str


_EVERY_TEST = Claim("these tests are a part of what it runs", ".ci/run")
_EXAMPLE = Claim("it is there when an example of CONTRIBUTING.md is applied", "tests/real/test_table.py")
_SITE = Claim("it needs the site's tools and a browser: it is a session of every run", ".ci/run")
_SPOKEN_OF = "a page speaks of it and tells nobody to type it"

CLAIMS: Mapping[str, Claim] = {
    "python -m pip install nox && nox": Claim("these tests are a part of what it runs", ".ci/run"),
    "nox -j auto -s check -- --python 3.12": Claim(
        "six environments at once; the tests take them one by one",
        "tests/real/test_conda_sessions.py::test_all_nine_steps_run_and_the_packages_of_the_lock_are_the_same_ones",
    ),
    **dict.fromkeys(
        ("python -m venv ~/tools", "source ~/tools/bin/activate", "python -m pip install PATH/TO/mlops-lab"),
        Claim("README's reader installs it once, in the same way", "tests/real/test_documented.py::test_readme"),
    ),
    "nox -s parity": Claim(
        "it makes an environment for each hybrid; the session `docs` runs it and shows what it prints",
        "docs/rendering/captures.py",
    ),
    "invoke parity --verify .mlops-lab/parity.json": Claim(
        "it looks at what `nox -s parity` has left",
        "tests/real/test_parity.py::test_two_hybrids_are_identical_until_somebody_changes_one",
    ),
    "invoke parity": Claim("it wants files, which pages that show it name", "tests/real/test_parity.py"),
    **dict.fromkeys(
        ("invoke add --conda ffmpeg", "invoke remove --conda ffmpeg"),
        Claim(
            "it wants a conda channel that has ffmpeg",
            "tests/real/test_conda_hybrids.py::test_a_package_of_condas_comes_and_goes_by_conda_yml",
        ),
    ),
    "invoke kernel": Claim(
        "it needs ipykernel in the environment", "tests/real/test_tasks.py::test_the_environment_as_a_jupyter_kernel"
    ),
    "invoke publish": Claim(
        "it would upload",
        "tests/real/test_publish.py::test_what_is_published_can_be_installed_and_is_not_published_again",
    ),
    "pre-commit install": Claim("it changes the repository of whoever types it", "tests/real/test_commit_hook.py"),
    "docker build --tag greeter .": Claim(
        "Docker is not everywhere: the lines of the Dockerfile are done one by one",
        "tests/real/test_documented_machines.py::test_the_image",
    ),
    "docker run --rm greeter": Claim(
        "Docker is not everywhere: the image's CMD is run in what the lines have made",
        "tests/real/test_documented_machines.py::test_the_image",
    ),
    'mlops-lab run -- python -c "import torch; print(torch.cuda.is_available())"': Claim(
        "it needs PyTorch, which is larger than all else here together",
        "tests/real/test_tasks.py::test_run_keeps_the_boundaries_of_arguments_and_the_exit_code",
    ),
    "pytest tests/unit": _EVERY_TEST,
    "pytest tests/real -n auto --dist loadfile": _EVERY_TEST,
    "nox -s lint types": _EVERY_TEST,
    "nox -s docs": _SITE,
    "nox -s docs -- --render": _SITE,
    "nox -s docs -- --serve": _SITE,
    "git apply": _EXAMPLE,
    "invoke tree": _EXAMPLE,
    "invoke setup --hybrid virtualenv+uv": _EXAMPLE,
    "invoke add NAME --group dev": Claim("NAME is whatever is needed", "tests/real/test_changes.py"),
    **dict.fromkeys(
        (
            "autoload -Uz compinit && compinit",
            'eval "$(mlops-lab --print-completion-script zsh)"',
            "mlops-lab --print-completion-script fish | source",
        ),
        Claim(
            "it is for a shell of its own",
            "tests/real/test_completing.py::test_a_tab_offers_hybrids_options_and_packages",
        ),
    ),
    **dict.fromkeys(
        (
            *("mlops-lab up⇥", "mlops-lab setup --hybrid venv⇥", "mlops-lab setup --group ⇥"),
            *("mlops-lab remove ⇥", "mlops-lab lock --le⇥"),
        ),
        Claim("it ends with a TAB", "tests/unit/test_completing.py::test_a_tab_offers_what_the_page_says"),
    ),
    "pip install": Claim(_SPOKEN_OF, "tests/real/test_behind.py"),
    "conda doctor": Claim("it wants a conda", "tests/real/test_conda_plugin.py"),
    "conda install": Claim(_SPOKEN_OF, "tests/real/test_behind.py"),
    "poetry install": Claim(_SPOKEN_OF, "tests/real/test_conda_hybrids.py"),
    "poetry sync": Claim(_SPOKEN_OF, "tests/real/test_hybrids.py"),
}
