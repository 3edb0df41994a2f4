"""The nonvolatile store: ring, recovery and the file beneath."""
