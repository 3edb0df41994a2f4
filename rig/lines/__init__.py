"""Lines of a bench that stand between two sites, where a hand can reach them: cut, heal, count."""
