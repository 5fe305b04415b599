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
        by: The test that proves it, `tests/real/test_x.py::test_y`, or the session of every run, `noxfile.py::docs`.
    """

    why: str
    by: str


_EVERY_TEST = Claim("these tests are a part of what it runs", "noxfile.py::tests")
_EXAMPLE = "it is there when an example of CONTRIBUTING.md is applied"
_SPOKEN_OF = "a page speaks of it and tells nobody to type it"

CLAIMS: Mapping[str, Claim] = {
    "python -m pip install nox && nox": _EVERY_TEST,
    "invoke setup --force": Claim(
        "it makes the reader's environment a second time",
        "tests/real/test_setup_again.py::test_an_environment_without_its_stamp_is_rebuilt_only_when_asked",
    ),
    "nox -j auto -s check -- --python 3.12": Claim(
        "six environments at once; the tests take them one by one",
        "tests/real/test_conda_sessions.py::test_all_nine_steps_run_and_the_packages_of_the_lock_are_the_same_ones",
    ),
    **dict.fromkeys(
        (
            *("python -m venv ENV", "source ENV/bin/activate"),
            *("python -m venv ~/tools", "source ~/tools/bin/activate", "python -m pip install PATH/TO/mlops-lab"),
        ),
        Claim(
            "one reader installs it from a wheel of it, in the same way, into an environment of the same kind",
            "tests/real/test_documented_machines.py::test_without_a_network",
        ),
    ),
    "nox -s parity": Claim(
        "it makes an environment for each hybrid; the session `docs` runs it and looks at what it prints",
        "noxfile.py::docs",
    ),
    "invoke parity --verify .mlops-lab/parity.json": Claim(
        "it looks at what `nox -s parity` has left",
        "tests/real/test_parity.py::test_two_hybrids_are_identical_until_somebody_changes_one",
    ),
    "invoke parity": Claim(
        "it compares what `nox -s check` has left",
        "tests/unit/test_parity_session.py::test_without_words_the_sessions_inventories_are_compared",
    ),
    **dict.fromkeys(
        ("invoke add --conda ffmpeg", "invoke remove --conda ffmpeg"),
        Claim(
            "it wants a conda channel that has ffmpeg",
            "tests/real/test_conda_hybrids.py::test_a_package_of_condas_comes_and_goes_by_conda_yml",
        ),
    ),
    "mlops-lab setup --hybrid pip+poetry": Claim(
        "it takes its time, and another page's reader types it with `--python`",
        "tests/real/test_documented_machines.py::test_without_a_network",
    ),
    "invoke kernel": Claim(
        "it needs ipykernel in the environment", "tests/real/test_tasks.py::test_the_environment_as_a_jupyter_kernel"
    ),
    "invoke publish": Claim(
        "it would upload",
        "tests/real/test_publish.py::test_what_is_published_can_be_installed_and_is_not_published_again",
    ),
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
    "nox -s lint types": Claim("it is a part of every run", "noxfile.py::lint"),
    "nox -s docs": Claim("it needs the site's tools and a browser: it is a part of every run", "noxfile.py::docs"),
    "nox -s docs -- --render": Claim(
        "it needs the site's tools; that it makes anew what is stale is a matter of the renderer",
        "tests/unit/test_rendering.py::test_a_stale_region_is_found_and_named_and_made_anew",
    ),
    "nox -s docs -- --serve": Claim(
        "it serves the site that the session builds until it is stopped", "noxfile.py::docs"
    ),
    "git apply": Claim(
        _EXAMPLE, "tests/real/test_table.py::test_each_edits_nothing_but_the_table_and_applies_without_the_others"
    ),
    "invoke tree": Claim(_EXAMPLE, "tests/real/test_table.py::test_a_setup_makes_a_verified_environment_with_it"),
    "invoke setup --hybrid virtualenv+uv": Claim(
        _EXAMPLE, "tests/real/test_table.py::test_a_setup_makes_a_verified_environment_with_it"
    ),
    "invoke add NAME --group dev": Claim(
        "NAME is whatever is needed", "tests/real/test_hybrids.py::test_uv_leads_a_change_of_a_group_and_poetry_follows"
    ),
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
    "pip install": Claim(_SPOKEN_OF, "tests/real/test_behind.py::test_what_pip_and_uv_did_to_a_venv"),
    "conda doctor": Claim("it wants a conda", "tests/real/test_conda_plugin.py::test_conda_shows_our_checks"),
    "conda install": Claim(_SPOKEN_OF, "tests/real/test_behind.py::test_what_pip_and_conda_did_to_a_conda_environment"),
    "poetry install": Claim(
        _SPOKEN_OF, "tests/real/test_conda_hybrids.py::test_a_c_library_of_conda_and_the_packages_of_the_lock"
    ),
    "poetry sync": Claim(
        _SPOKEN_OF, "tests/real/test_hybrids.py::test_every_hybrid_installs_exactly_the_lock_and_the_project_itself"
    ),
}
