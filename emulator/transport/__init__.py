"""Lines: whatever carries packets between two sites, opened by one URI (`opener.open_line`)."""
