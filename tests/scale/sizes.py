"""How large the tests here are: small, or as ``make scale`` sets it."""

import os

IS_FULL = os.environ.get("LOGBOOM_TEST_SCALE") == "full"
MINUTES = int(os.environ.get("LOGBOOM_TEST_MINUTES", "10"))
"""How long a thousand containers print."""
