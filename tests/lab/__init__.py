"""The embedded cloud: the parts of AWS and Tower that no library gives us, for stack tests and the demo."""
