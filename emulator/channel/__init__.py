"""What the host sees of a device."""
