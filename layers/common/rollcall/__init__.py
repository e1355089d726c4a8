"""Rollcall keeps Ansible Tower true to EC2 Auto Scaling."""
