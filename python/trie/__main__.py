"""The command ``trie``, as ``python -m trie``."""

from __future__ import annotations

import signal
import sys

from . import _trie
from ._arguments import environment


def main() -> None:
    """Carries out the command line and ends the process with its exit code."""
    # Ctrl-C belongs to the command, which reports before it ends: Python must not add its own words.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_trie.main(sys.argv[1:], environment()))


if __name__ == "__main__":
    main()
