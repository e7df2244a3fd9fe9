"""Logboom: a Docker logging plugin. The service in Python; the work on bytes and files is in ``logboom._core``."""
