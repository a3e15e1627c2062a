"""The subcommands of `bisenet`: arguments and printing."""
