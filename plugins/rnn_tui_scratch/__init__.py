"""Recurrent cells written out as equations, in plain torch."""
