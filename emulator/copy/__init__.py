"""Remote dual copy: groups, roles, positions, resynchronisation."""
