"""How kernels are compiled, kept and called; nothing here knows of readings."""
