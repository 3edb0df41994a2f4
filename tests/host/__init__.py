"""Tests of what plays the host."""
