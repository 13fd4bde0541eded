"""A step's graph written out as C, compiled by the compiler that is there, and run for a whole sequence."""
