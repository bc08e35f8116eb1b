"""The ways to install take some ten minutes together, so only `make test-install` carries them out."""

import os

collect_ignore = [] if os.environ.get("TEST_INSTALL") else ["paths"]
