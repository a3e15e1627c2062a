"""The training subcommands of `bisenet`: arguments and printing."""
