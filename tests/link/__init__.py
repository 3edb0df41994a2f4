"""Tests of the inter-cache link."""
