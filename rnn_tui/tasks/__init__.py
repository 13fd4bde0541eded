"""How data becomes inputs and targets, the loss and the metrics."""
