"""The record former: host writes become records of changes."""
