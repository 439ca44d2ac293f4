"""What `pgkt NAME` does with its arguments, a file a command; `stages.py` holds those that take a config."""
