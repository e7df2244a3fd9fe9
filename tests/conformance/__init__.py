import pytest

# They hold assertions, but no tests: what failed shall be shown as in a test.
for _module in ("cases", "sequences", "stage", "stand_in_stage", "worker"):
    pytest.register_assert_rewrite(f"tests.conformance.{_module}")
