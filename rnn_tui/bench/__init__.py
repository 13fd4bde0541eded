"""How fast this machine trains and samples, beside torch's own modules, the tutorials' loops and its own limits."""
