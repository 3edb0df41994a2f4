"""The nonvolatile store: what survives a crash of the cache processor."""
