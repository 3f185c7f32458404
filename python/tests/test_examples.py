"""Examples run as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conftest import environment

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_a_sweep_in_a_notebook(own_home: Path) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / "sweep.py")]
    said = subprocess.run(command, env=environment(own_home), capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stderr
    assert said.stderr == ""
    agents = [line for line in said.stdout.splitlines() if " agents " in line]
    assert [line.split()[0] for line in agents] == ["2", "8", "32"]
    assert "gate: passed" in said.stdout
    assert list(Path.cwd().iterdir()) == []
