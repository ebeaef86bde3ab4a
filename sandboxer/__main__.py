"""`python -m sandboxer`."""

from sandboxer.cli.main import main

main()
