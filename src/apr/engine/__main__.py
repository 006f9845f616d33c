"""`python -m apr.engine` is `apr engine serve`."""

import sys

from apr.cli.main import main

sys.exit(main(["engine", "serve", *sys.argv[1:]]))
