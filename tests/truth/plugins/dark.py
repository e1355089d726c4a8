"""A connection to this machine that fails as long as a file of the host's name lies in the directory $DARK."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as LocalConnection

DOCUMENTATION = """
    name: dark
    short_description: a local connection that can be cut
    description: For tests.
    author: Rollcall
    options:
      remote_addr:
        description: The host's name.
        default: inventory_hostname
        vars:
          - name: inventory_hostname
"""


class Connection(LocalConnection):
    """Ansible finds it by its class's name."""

    transport = "dark"

    def exec_command(self, *args: Any, **kwargs: Any) -> Any:
        name = self.get_option("remote_addr")
        if Path(os.environ["DARK"], name).exists():
            raise AnsibleConnectionFailure(f"{name} does not answer")
        return super().exec_command(*args, **kwargs)
