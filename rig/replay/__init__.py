"""Schedules of the simulator on real lines: the same faults, two real sites, the same verdict."""
