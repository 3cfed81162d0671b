"""What you run: configs, training, evaluation."""
