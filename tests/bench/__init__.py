"""The bench: storms through the deployed stack on the embedded cloud, in figures."""
