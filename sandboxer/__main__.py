"""`python -m sandboxer`."""

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # python -m puts the working directory there, where a job of before may have left a json.py

from sandboxer.cli.main import main

main()
