"""``python -m gangplank``."""

import sys

from gangplank.commands import main

sys.exit(main())
