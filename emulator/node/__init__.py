"""The cache processor as a whole, and the shell it runs in."""
