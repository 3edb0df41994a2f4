"""How fast it is: the same load on this project and on its peers, in one run."""
