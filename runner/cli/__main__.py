"""``python -m runner.cli``: the same as ``mmm``."""

from runner.cli.app import main

main()
