"""Ctrl-C, of a script and of the command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import ROW, environment


def script(url: str, more: str, after: str) -> str:
    return textwrap.dedent(
        f"""
        import sys
        from trie import Client

        def told(at):
            print("running", file=sys.stderr, flush=True)

        client = Client({url!r}, "m", "builtin", selfcheck=False)
        result = client.sync_run([{ROW!r}], 2, duration=600, on_progress=told, progress_interval=0.2{more})
        {after}
        """
    )


def interrupted(command: list[str], home: Path, when: str) -> tuple[int, str, str]:
    """Sends SIGINT once a line on stderr holds a word; exit code, stdout, stderr."""
    process = subprocess.Popen(
        command, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if when in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, "".join(said) + err


def test_sync_run_prints_the_report_and_gives_it_back(url: str, own_home: Path) -> None:
    after = "print('back', result.interrupted, result.exit_code, result.populations.admitted > 0)"
    code, out, err = interrupted([sys.executable, "-c", script(url, "", after)], own_home, "running")
    assert code == 0, err
    assert "Per-trace metrics" in out and "TRUST:" in out
    assert out.rstrip().endswith("back True 130 True")
    assert "Traceback" not in err


def test_sync_run_raises_where_it_is_told_to(url: str, own_home: Path) -> None:
    words = [sys.executable, "-c", script(url, ", on_interrupt='raise'", "print('back')")]
    code, out, err = interrupted(words, own_home, "running")
    assert code == -signal.SIGINT, err
    assert "KeyboardInterrupt" in err
    assert out == ""


def test_nothing_to_report_is_an_interrupt(own_home: Path, serve: object) -> None:
    """During the preflight nothing was replayed: there is no result to give back."""
    url = serve("policy=fixed", "ttft_ms=60000")  # type: ignore[operator]
    text = script(url, "", "print('back')").replace("import sys\n", "import sys, logging\n", 1)
    text = text.replace("def told", "logging.basicConfig(level=logging.INFO)\n\ndef told", 1)
    code, out, err = interrupted([sys.executable, "-c", text], own_home, "still waiting")
    assert code == -signal.SIGINT, err
    assert "interrupted during the preflight" in err
    assert out == ""


def test_the_command_reports_and_exits_as_it_does_natively(url: str, own_home: Path) -> None:
    Path("workload.jsonl").write_text(json.dumps(ROW) + "\n")
    words = ["workload_path=workload.jsonl", f"endpoint={url}", "model=m", "tokenizer_model=builtin"]
    more = ["concurrency=2", "duration=600", "selfcheck=False", "output_dir=run"]
    command = [sys.executable, "-m", "trie", *words, *more]
    code, out, err = interrupted(command, own_home, "starting benchmark")
    assert code == 130, err
    assert "TRUST:" in out
    assert "Traceback" not in err
    assert json.loads(Path("run/manifest.json").read_text())["ending"]["reason"] == "interrupted"


@pytest.mark.parametrize("words, code", [(["version"], 0), (["run"], 2), (["report", "none"], 2)])
def test_exit_codes(words: list[str], code: int, trie: object) -> None:
    assert trie(*words).returncode == code  # type: ignore[operator]
