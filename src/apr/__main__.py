"""`python -m apr` is `apr`."""

import sys

from apr.cli.main import main

sys.exit(main())
