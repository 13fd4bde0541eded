"""torch's own nn.RNN, nn.GRU and nn.LSTM behind the plugin interface."""
