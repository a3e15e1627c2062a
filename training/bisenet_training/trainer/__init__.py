"""The training run: recipe, module, losses and callbacks."""
