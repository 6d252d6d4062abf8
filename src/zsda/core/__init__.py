"""What everything stands on: configs, commands, errors, files, run folders, seeds."""
