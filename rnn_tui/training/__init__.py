"""Configuration, schedule, the loop, checkpoints and the worker process. Importing this loads no torch."""
