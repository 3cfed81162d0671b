"""C99 for microcontrollers: one header, one file of constants and code."""

from ranvier.export.c.target import TARGET, CSizes, c_sizes, to_c

__all__ = ["TARGET", "CSizes", "c_sizes", "to_c"]
