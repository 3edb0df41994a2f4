"""Making machine code of the sources: which of them, how, and where it goes (ADR 0026)."""
