"""`make run` in a clone: what it sets up, prints and repairs.

The Makefile and the script are the real ones. They run a program that prints where it runs from and
needs no package.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from processes import ROOT

PROGRAM = "import sys\nprint(sys.argv[1], 'from', ascii(__file__))\n"
BASE_PYTHON = Path(
    sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone after `make run`, whose path has spaces and other letters than ASCII."""
    clone = tmp_path_factory.mktemp("setup") / "клон с пробелом"
    package = clone / "src" / "referral"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PROGRAM)
    (clone / "requirements.txt").touch()
    (clone / "scripts").mkdir()
    for name in ("Makefile", "scripts/environment.py"):
        shutil.copy(ROOT / name, clone / name)
    first = make_run(clone)
    assert first.returncode == 0, first.stderr
    assert "Creating .venv with Python 3." in first.stdout
    assert "Installing 0 packages of requirements.txt" in first.stdout
    assert runs_from(clone, first)
    return clone


@pytest.fixture
def clone(original: Path, tmp_path: Path) -> Path:
    """Copy the clone elsewhere, as if it had been set up there."""
    here = tmp_path / "клон"
    shutil.copytree(original, here, symlinks=True)
    set_state(here, place=os.path.realpath(here / ".venv"))
    return here


def make_run(
    clone: Path, *arguments: str, python3: Path = BASE_PYTHON, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `make run` in the locale C. python3: what the shell finds by that name."""
    found = clone.parent / "bin"
    found.mkdir(exist_ok=True)
    (found / "python3").unlink(missing_ok=True)
    (found / "python3").symlink_to(python3)
    return subprocess.run(
        ["make", "run", *arguments],
        cwd=clone,
        env={"PATH": f"{found}:{os.environ['PATH']}", "LC_ALL": "C", **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def runs_from(clone: Path, run: subprocess.CompletedProcess[str]) -> bool:
    program = clone / "src" / "referral" / "__main__.py"
    return run.stdout.endswith(f"migrate from {str(program)!a}\nserve from {str(program)!a}\n")


def set_state(clone: Path, **changes: str) -> None:
    """Change the recorded state of the environment."""
    file = clone / ".venv" / "complete.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_the_second_run_installs_nothing(clone: Path) -> None:
    run = make_run(clone)
    assert runs_from(clone, run), run.stderr
    assert len(run.stdout.splitlines()) == 2


def test_a_moved_clone_works_before_it_is_repaired(original: Path, tmp_path: Path) -> None:
    """Also by hand, since the path to the source is relative."""
    moved = shutil.copytree(original, tmp_path / "moved", symlinks=True)
    for command in (["python", "-m", "referral"], ["referral"]):
        direct = subprocess.run(
            [moved / ".venv" / "bin" / command[0], *command[1:], "doctor"],
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        assert str(moved / "src") in direct.stdout, direct.stderr


def copied(clone: Path) -> None:
    set_state(clone, place="/somewhere/else/.venv")


def interrupted(clone: Path) -> None:
    (clone / ".venv" / "complete.json").unlink()
    shutil.rmtree(clone / ".venv" / "lib")


def without_its_python(clone: Path) -> None:
    (clone / ".venv" / "bin" / "python").unlink()
    (clone / ".venv" / "bin" / "python").symlink_to("/nowhere/python3")


def made_by_another_python(clone: Path) -> None:
    set_state(clone, python="3.10 in /nowhere")


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        (copied, "the folder was moved or copied"),
        (interrupted, "it is not complete"),
        (without_its_python, "its Python is gone"),
        (made_by_another_python, "it was made by Python 3.10 in /nowhere"),
    ],
)
def test_an_unusable_environment_is_created_again(
    clone: Path, breaks: Callable[[Path], None], reason: str
) -> None:
    breaks(clone)
    run = make_run(clone, f"PYTHON={BASE_PYTHON}")
    assert reason in run.stdout, run.stderr
    assert runs_from(clone, run), run.stderr
    assert len(make_run(clone).stdout.splitlines()) == 2


def test_changed_requirements_are_installed(clone: Path) -> None:
    """If that fails, one line follows pip's own, and the next run creates the environment again."""
    requirements = clone / "requirements.txt"
    requirements.write_text("nothing-of-this-name==1 --hash=sha256:00\n")
    run = make_run(clone, PIP_NO_INDEX="1")
    assert run.returncode != 0
    assert "environment: requirements.txt could not be installed" in run.stderr
    requirements.write_text("# nothing\n")
    run = make_run(clone)
    assert "it is not complete" in run.stdout
    assert runs_from(clone, run), run.stderr


def test_a_python_that_is_too_old_is_refused(clone: Path, tmp_path: Path) -> None:
    """Unless the environment has a good one and none is asked for by name."""
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    assert runs_from(clone, make_run(clone, python3=old))
    for asked in (str(old), "no-such-python"):
        refused = make_run(clone, f"PYTHON={asked}")
        assert refused.returncode != 0
        assert refused.stdout == (
            f"Python 3.11 or newer is needed, and {asked} is not one: make run PYTHON=python3.11\n"
        )


def test_a_missing_venv_module_is_reported(clone: Path, tmp_path: Path) -> None:
    """Debian packages it separately."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['ensurepip'] = None\n")
    shutil.rmtree(clone / ".venv")
    run = make_run(clone, PYTHONPATH=str(tmp_path))
    assert run.returncode != 0
    assert run.stderr.startswith("environment: this Python has no venv: on Debian and Ubuntu, apt")
    assert "Traceback" not in run.stderr
