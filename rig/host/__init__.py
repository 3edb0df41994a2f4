"""What plays the host: our own client, and what a host's disks must hold."""
