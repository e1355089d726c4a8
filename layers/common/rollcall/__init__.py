"""Rollcall keeps Ansible Tower true to EC2 Auto Scaling."""

__version__ = "0.1.0"  # the one source; the template's output Version says the same
