"""The deterministic simulator: sites, hosts, lines, disks and operators in virtual time."""
