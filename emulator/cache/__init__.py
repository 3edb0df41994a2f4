"""The track cache: what is kept in memory, and when it goes to the disk."""
