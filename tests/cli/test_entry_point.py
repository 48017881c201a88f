"""The real program in a process of its own: exit codes, streams, and what it loads."""

from __future__ import annotations

import os
import subprocess
import sys

INTERRUPTING = """\
def reward(prompts, completions, **columns):
    raise KeyboardInterrupt
"""


def scorecraft(*arguments, cwd):
    command = [sys.executable, "-m", "scorecraft.cli.main", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_help_does_not_load_torch(tmp_path):
    code = (
        "import sys\n"
        "from scorecraft.cli.main import run\n"
        "try:\n    run(['--help'])\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        "print('loaded:', [m for m in ('torch', 'transformers', 'pyarrow', 'numpy') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "loaded: []" in done.stdout
    assert "train" in done.stdout


def test_a_users_mistake_is_one_message_and_exit_code_2(tmp_path):
    (tmp_path / "mine.yaml").write_text("task: chain-arithmetic\nstepz: 3\n")
    done = scorecraft("train", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: mine.yaml:2: stepz: unknown key; did you mean 'steps'?")
    assert "Traceback" not in done.stderr
    debugged = scorecraft("train", "mine.yaml", "--debug", cwd=tmp_path)
    assert debugged.returncode == 1
    assert "Traceback" in debugged.stderr


def test_an_unknown_option_is_exit_code_2(tmp_path):
    done = scorecraft("train", "--bogus", cwd=tmp_path)
    assert done.returncode == 2
    assert "--bogus" in done.stderr


def test_an_interrupted_run_says_how_to_go_on(tmp_path, tiny_arguments):
    (tmp_path / "mine.py").write_text(INTERRUPTING)
    reward = "reward={function: {path: mine.py, function: reward}}"
    done = scorecraft("train", *tiny_arguments, reward, "--run", "here", cwd=tmp_path)
    assert done.returncode == 130, done.stderr
    assert done.stderr == "stopped; go on with: scorecraft train --run here --resume\n"


def test_a_library_that_is_only_partly_installed_is_named(tmp_path):
    broken = tmp_path / "torch"
    broken.mkdir()
    (broken / "__init__.py").write_text("from torch import _missing_half\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "scorecraft.cli.main", "train", "steps=1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "'torch' is installed but cannot be imported" in done.stderr
    assert "--force-reinstall" in done.stderr
    assert "Traceback" not in done.stderr
