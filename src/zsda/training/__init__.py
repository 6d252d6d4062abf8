"""How a training is run, whatever it trains."""
