"""What goes wrong, as data: models that draw faults, and the rows that repeat them."""
