"""Whole sites as processes of their own, with hosts, lines and crashes that are real."""
