"""What `import rnn_tui` offers to a program: load, generate, score, evaluate, train."""
