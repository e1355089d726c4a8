"""The bench: large scale-outs of the deployed stack on the embedded cloud, in figures."""
