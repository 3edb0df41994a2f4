"""Tests of the demo: its parts, each check made to fail, and one whole run."""
