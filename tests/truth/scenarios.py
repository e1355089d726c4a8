"""Playbooks of the kinds that are cut short, or go on, in a way that summaries do not show.

Each is run well first, by hosts without trouble, and then with trouble: a host's variable `bad` fails where a playbook
says so, and a dark host does not answer. The last thing that a playbook does on a host is to mark it, and so does every
`raw: 'true'` and every `debug` on the way there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import count

MARK = """
    - {name: mark, raw: 'touch {{ marks }}/{{ inventory_hostname }}'}
"""


# What tasks do that only mark their host, and how: with the connection to it, and without.
PLAIN = re.compile(r"raw: 'true'|debug: \{msg: \w+\}")
CONNECTED = "raw: 'touch {{ marks }}/{{ inventory_hostname }}.%d'"
UNCONNECTED = """debug: {msg: "{{ lookup('pipe', 'touch ' ~ marks ~ '/' ~ inventory_hostname ~ '.%d') }}"}"""


def waymark(found: re.Match[str], number: int) -> str:
    """What a task does that marks its host with a number."""
    return (CONNECTED if found[0].startswith("raw") else UNCONNECTED) % number


@dataclass(frozen=True)
class Scenario:
    """One playbook and what goes wrong in it.

    bad, dark: the numbers of the hosts with trouble, of those numbered one to five. needless: hosts that are done and
    nevertheless run again, because nothing in their events shows it. groups: inventory groups, by the hosts' numbers.
    variables: of hosts, by their numbers; before: those of the good run, if it had others. Groups and variables have
    names that no other scenario has, or has otherwise.
    """

    name: str
    play: str
    bad: tuple[int, ...] = ()
    dark: tuple[int, ...] = ()
    needless: tuple[int, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    groups: dict[str, tuple[int, ...]] = field(default_factory=dict)
    variables: dict[int, dict[str, object]] = field(default_factory=dict)
    before: dict[int, dict[str, object]] | None = None

    @property
    def folder(self) -> str:
        """Where its playbook stands in the project."""
        return re.sub("[^a-z]+", "-", self.name)

    @property
    def project(self) -> dict[str, str]:
        """The files of the project, by path; each of their tasks marks the host that it runs on."""
        numbers = count(1)
        return {
            f"{self.folder}/{path}": PLAIN.sub(lambda found: waymark(found, next(numbers)), text)
            for path, text in {"site.yml": self.play, **self.files}.items()
        }


def play(tasks: str, **keywords: object) -> str:
    """A play on all hosts with these tasks; keywords are its own."""
    head = "".join(
        f"  {key}: {value}\n" for key, value in {"hosts": "all", "gather_facts": "false", **keywords}.items()
    )
    return f"-{head[1:]}  tasks:\n{tasks}"


SCENARIOS = (
    Scenario(
        "one fails in the middle",
        play(
            """
    - debug: {msg: one}
    - {fail: {msg: bad}, when: bad | default(false)}
    - debug: {msg: two}
"""
            + MARK
        ),
        bad=(3,),
    ),
    Scenario(
        "one is not reached",
        play(
            """
    - debug: {msg: one}
    - raw: 'true'
"""
            + MARK
        ),
        dark=(3,),
    ),
    Scenario(
        "one fails at the very last task, and nothing is fatal",
        play(
            MARK
            + """
    - {fail: {msg: bad}, when: bad | default(false)}
"""
        ),
        bad=(3,),
    ),
    Scenario(
        "fatal for all, with always",
        play(
            """
    - block:
        - debug: {msg: one}
        - {fail: {msg: bad}, when: bad | default(false)}
        - debug: {msg: two}
      always:
        - debug: {msg: three}
        - debug: {msg: four}
"""
            + MARK,
            any_errors_fatal="true",
        ),
        bad=(3,),
    ),
    Scenario(
        "fatal for all, with always in an included role",
        play(
            """
    - include_role: {name: r}
"""
            + MARK,
            any_errors_fatal="true",
        ),
        bad=(3,),
        files={
            "roles/r/tasks/main.yml": """
- block:
    - debug: {msg: one}
    - {fail: {msg: bad}, when: bad | default(false)}
    - debug: {msg: two}
  always:
    - debug: {msg: three}
    - debug: {msg: four}
"""
        },
    ),
    Scenario(
        "fatal at a task that is not reached, with always",
        play(
            """
    - block:
        - debug: {msg: one}
        - raw: 'true'
      always:
        - debug: {msg: two}
"""
            + MARK,
            any_errors_fatal="true",
        ),
        dark=(3,),
    ),
    Scenario(
        "fatal at a task that is not reached, with rescue",
        play(
            """
    - block:
        - raw: 'true'
        - debug: {msg: one}
      rescue:
        - debug: {msg: two}
"""
            + MARK,
            any_errors_fatal="true",
        ),
        dark=(3,),
    ),
    Scenario(
        "fatal for all, the last block's always being the last thing",
        play(
            """
    - raw: 'true'
    - block:
        - {fail: {msg: bad}, when: bad | default(false)}
        - {name: mark, raw: 'touch {{ marks }}/{{ inventory_hostname }}'}
      always:
        - debug: {msg: three}
""",
            any_errors_fatal="true",
        ),
        bad=(3,),
    ),
    Scenario(
        "too many failures of a serial batch",
        play(
            """
    - debug: {msg: one}
    - {fail: {msg: bad}, when: bad | default(false)}
    - debug: {msg: two}
"""
            + MARK,
            serial=2,
            max_fail_percentage=0,
        ),
        bad=(3,),
    ),
    Scenario(
        "a serial batch fails wholly",
        play(
            """
    - debug: {msg: one}
    - {fail: {msg: bad}, when: bad | default(false)}
"""
            + MARK,
            serial=2,
        ),
        bad=(3, 4),
    ),
    Scenario(
        "once for all fails, with always",
        play(
            """
    - block:
        - debug: {msg: one}
        - {fail: {msg: bad}, run_once: true, when: bad | default(false)}
        - debug: {msg: two}
      always:
        - debug: {msg: three}
"""
            + MARK
        ),
        bad=(1,),
    ),
    Scenario(
        "once for all fails as the last task",
        play("""
    - debug: {msg: one}
    - block:
        - {fail: {msg: bad}, run_once: true, when: bad | default(false)}
        - name: mark
          raw: 'touch {% for each in ansible_play_hosts_all %}{{ marks }}/{{ each }} {% endfor %}'
          run_once: true
      always:
        - debug: {msg: three}
"""),
        bad=(1,),
    ),
    Scenario(
        "once for all on one that is not reached",
        play(
            """
    - debug: {msg: one}
    - {raw: 'true', run_once: true}
"""
            + MARK
        ),
        dark=(1,),
    ),
    Scenario(
        "once for each batch, failing in the second",
        play(
            """
    - debug: {msg: one}
    - {fail: {msg: bad}, run_once: true, when: bad | default(false)}
"""
            + MARK,
            serial=2,
        ),
        bad=(3,),
    ),
    Scenario(
        "once for all goes well, and later one fails",
        play(
            """
    - {raw: 'true', run_once: true}
    - {fail: {msg: bad}, when: bad | default(false)}
"""
            + MARK
        ),
        bad=(3,),
    ),
    Scenario(
        "rescued for one, fatal for all later",
        play(
            """
    - block:
        - {fail: {msg: bad}, when: rescued | default(false)}
      rescue:
        - debug: {msg: one}
    - {fail: {msg: bad}, when: bad | default(false)}
"""
            + MARK,
            any_errors_fatal="true",
        ),
        bad=(3,),
        variables={2: {"rescued": True}},
    ),
    Scenario(
        "a rescue is cut short",
        play(
            """
    - block:
        - {fail: {msg: bad}, when: bad | default(false) or saved | default(false)}
      rescue:
        - {fail: {msg: bad}, when: bad | default(false)}
        - {name: mark, raw: 'touch {{ marks }}/{{ inventory_hostname }}'}
""",
            any_errors_fatal="true",
        ),
        bad=(3,),
        variables={2: {"saved": True}, 4: {"saved": True}},
    ),
    Scenario(
        "handlers are forced after a cut",
        play(
            """
    - {raw: 'true', changed_when: true, notify: h}
    - {fail: {msg: bad}, when: bad | default(false)}
"""
            + MARK
            + """
  handlers:
    - {name: h, raw: 'true'}
""",
            any_errors_fatal="true",
            force_handlers="true",
        ),
        bad=(3,),
    ),
    Scenario(
        "handlers are missed after a cut at the last task",
        play(
            """
    - {raw: 'true', changed_when: true, notify: [other, mark]}
    - {fail: {msg: bad}, when: bad | default(false)}
  handlers:
    - {name: other, raw: 'true'}
    - {name: mark, raw: 'touch {{ marks }}/{{ inventory_hostname }}'}
""",
            any_errors_fatal="true",
        ),
        bad=(3,),
    ),
    Scenario(
        "the second of two handlers is missed when the first one fails for one",
        play(
            """
    - {raw: 'true', changed_when: true, notify: [first, mark]}
  handlers:
    - {name: first, fail: {msg: bad}, when: bad | default(false)}
    - {name: mark, raw: 'touch {{ marks }}/{{ inventory_hostname }}'}
""",
            any_errors_fatal="true",
        ),
        bad=(3,),
    ),
    Scenario(
        "handlers of a role, flushed, and one fails after",
        play(
            """
    - include_role: {name: r}
    - meta: flush_handlers
    - {fail: {msg: bad}, when: bad | default(false)}
"""
            + MARK
        ),
        bad=(3,),
        files={
            "roles/r/tasks/main.yml": "- {raw: 'true', changed_when: true, notify: [restart, topic]}\n",
            "roles/r/handlers/main.yml": (
                "- {name: restart, raw: 'true'}\n- {name: load, listen: topic, include_tasks: more.yml}\n"
            ),
            "roles/r/handlers/more.yml": "- debug: {msg: more}\n",
        },
    ),
    Scenario(
        "unreachability is ignored, another one fails",
        play(
            """
    - raw: 'true'
    - {fail: {msg: bad}, when: bad | default(false)}
"""
            + MARK,
            ignore_unreachable="true",
        ),
        bad=(4,),
        dark=(3,),
    ),
    Scenario(
        "unreachability is ignored, and the last task needs no connection",
        play(
            MARK
            + """
    - debug: {msg: last}
    - set_fact: {last: true}
""",
            ignore_unreachable="true",
        ),
        dark=(3,),
    ),
    Scenario(
        "unreachability is ignored, and the last task is another's",
        play(
            MARK
            + """
    - {raw: 'true', delegate_to: i-1}
""",
            ignore_unreachable="true",
        ),
        dark=(3,),
    ),
    Scenario(
        "not reached at first, errors cleared, reached later",
        play(
            """
    - raw: 'true'
    - {raw: 'rm -f {{ dark }}/*', delegate_to: localhost, run_once: true}
    - meta: clear_host_errors
"""
            + MARK
        ),
        dark=(3,),
    ),
    Scenario(
        "once for all on one that is not reached, errors cleared in the next play",
        play("""
    - {raw: 'true', run_once: true}
    - {name: mark, raw: 'touch {{ marks }}/{{ inventory_hostname }}'}
""")
        + play("""
    - meta: clear_host_errors
    - debug: {msg: last}
"""),
        dark=(1,),
    ),
    Scenario(
        "each goes at its own speed, one fails",
        play(
            """
    - {raw: 'sleep 1', when: bad | default(false)}
    - {fail: {msg: bad}, when: bad | default(false)}
    - debug: {msg: two}
"""
            + MARK,
            strategy="free",
        ),
        bad=(3,),
    ),
    Scenario(
        "each goes at its own speed, fatal for all",
        play(
            """
    - {raw: 'sleep 0.2', when: not (bad | default(false))}
    - {fail: {msg: bad}, when: bad | default(false)}
    - {raw: 'sleep 0.3'}
    - debug: {msg: two}
"""
            + MARK,
            strategy="free",
            any_errors_fatal="true",
        ),
        bad=(3,),
    ),
    Scenario(
        "each goes at its own speed to the end, fatal for all",
        play(
            """
    - {raw: 'sleep 0.2', when: not (bad | default(false))}
    - {fail: {msg: bad}, when: bad | default(false)}
"""
            + MARK,
            strategy="host_pinned",
            any_errors_fatal="true",
        ),
        bad=(5,),
    ),
    Scenario(
        "some end before the last task, fatal for all before that",
        play(
            """
    - debug: {msg: one}
    - {fail: {msg: bad}, when: bad | default(false)}
    - {meta: end_host, when: passive | default(false)}
"""
            + MARK,
            any_errors_fatal="true",
        ),
        bad=(3,),
        needless=(1,),  # that it ends there leaves no trace
        variables={1: {"passive": True}},
    ),
    Scenario(
        "some include what others do not, fatal for all in there",
        play(
            """
    - debug: {msg: one}
    - {include_tasks: more.yml, when: more | default(false)}
""",
            any_errors_fatal="true",
        ),
        bad=(3,),
        files={
            "more.yml": """
- debug: {msg: two}
- {fail: {msg: bad}, when: bad | default(false)}
- {name: mark, raw: 'touch {{ marks }}/{{ inventory_hostname }}'}
"""
        },
        variables={each: {"more": True} for each in (2, 3, 4)},
    ),
    Scenario(
        "some include what others do not, one fails later",
        play(
            """
    - {include_tasks: more.yml, when: extra | default(false)}
    - {fail: {msg: bad}, when: bad | default(false)}
"""
            + MARK
        ),
        bad=(3,),
        files={"more.yml": "- debug: {msg: two}\n- raw: 'true'\n"},
        variables={each: {"extra": True} for each in (2, 4)},
    ),
    Scenario(
        "all included something the last time, fatal for all later",
        play(
            """
    - {include_tasks: upgrade.yml, when: aged | default(false)}
    - raw: 'true'
    - {fail: {msg: bad}, when: bad | default(false)}
    - debug: {msg: two}
"""
            + MARK,
            any_errors_fatal="true",
        ),
        bad=(3,),
        files={"upgrade.yml": "- debug: {msg: one}\n"},
        before={each: {"aged": True} for each in (1, 2, 3, 4, 5)},
    ),
    Scenario(
        "all were rescued the last time, and now one fails in its rescue",
        play(
            """
    - block:
        - {fail: {msg: first}, when: fresh | default(false)}
        - {fail: {msg: bad}, when: bad | default(false)}
        - debug: {msg: one}
      rescue:
        - debug: {msg: two}
        - {fail: {msg: bad}, when: bad | default(false)}
"""
            + MARK,
            any_errors_fatal="true",
        ),
        bad=(3,),
        before={each: {"fresh": True} for each in (1, 2, 3, 4, 5)},
    ),
    Scenario(
        "all were rescued the last time, a block is fatal for all, and one fails later",
        play(
            """
    - any_errors_fatal: true
      block:
        - {fail: {msg: first}, when: green | default(false)}
        - {fail: {msg: bad}, when: bad | default(false)}
        - debug: {msg: one}
      rescue:
        - debug: {msg: two}
    - {fail: {msg: bad}, when: bad | default(false)}
"""
            + MARK
        ),
        bad=(3,),
        needless=(1, 2, 4, 5),  # on 2.16 they are not rescued, which all were the last time
        before={each: {"green": True} for each in (1, 2, 3, 4, 5)},
    ),
    Scenario(
        "one made two includes the last time, and now all make the second one, fatal for all in there",
        play(
            """
    - {include_tasks: first.yml, when: small | default(false)}
    - {include_tasks: second.yml, when: big | default(false)}
""",
            any_errors_fatal="true",
        ),
        bad=(3,),
        files={
            "first.yml": "- debug: {msg: one}\n",
            "second.yml": """
- {fail: {msg: bad}, when: bad | default(false)}
- {name: mark, raw: 'touch {{ marks }}/{{ inventory_hostname }}'}
""",
        },
        variables={each: {"big": True} for each in (1, 2, 3)},
        before={1: {"small": True, "big": True}},
    ),
    Scenario(
        "who included nothing ended early the last time, fatal for all",
        play(
            """
    - {include_tasks: more.yml, when: renewed | default(false)}
    - {meta: end_host, when: idle | default(false)}
    - {fail: {msg: bad}, when: bad | default(false)}
"""
            + MARK,
            any_errors_fatal="true",
        ),
        bad=(3,),
        files={"more.yml": "- debug: {msg: one}\n"},
        before={1: {"renewed": True}, **{each: {"idle": True} for each in (2, 3, 4, 5)}},
    ),
    Scenario(
        "some include more often than others, fatal for all in there",
        play(
            """
    - {include_tasks: more.yml, loop: "{{ range(parts | default(1)) | list }}", loop_control: {loop_var: part}}
""",
            any_errors_fatal="true",
        ),
        bad=(3,),
        needless=(1,),  # how often a host is to include is not known
        files={
            "more.yml": """
- {fail: {msg: bad}, when: part == 1 and bad | default(false)}
- {name: mark, raw: 'touch {{ marks }}/{{ inventory_hostname }}', when: part == (parts | default(1)) - 1}
"""
        },
        variables={each: {"parts": 2} for each in (2, 3, 4, 5)},
    ),
    Scenario(
        "all are taken out of a block in which one fails, and the job succeeds",
        play(
            """
    - block:
        - {fail: {msg: bad}, when: bad | default(false)}
        - debug: {msg: one}
      rescue:
        - debug: {msg: two}
"""
            + MARK,
            any_errors_fatal="true",
        ),
        bad=(3,),
    ),
    Scenario(
        "the names of tasks differ by host, one fails",
        play(
            """
    - {name: 'on {{ inventory_hostname }}', raw: 'true'}
    - {fail: {msg: bad}, when: bad | default(false)}
    - {name: 'again on {{ inventory_hostname }}', raw: 'true'}
"""
            + MARK
        ),
        bad=(3,),
    ),
    Scenario(
        "the same is included twice, fatal for all the second time",
        play(
            """
    - {include_tasks: more.yml, loop: [one, two], loop_control: {loop_var: round}}
""",
            any_errors_fatal="true",
        ),
        bad=(3,),
        files={
            "more.yml": """
- debug: {msg: '{{ round }}'}
- {fail: {msg: bad}, when: bad | default(false) and round == 'two'}
- {name: mark, raw: 'touch {{ marks }}/{{ inventory_hostname }}', when: round == 'two'}
"""
        },
    ),
    Scenario(
        "a second play is only for some, fatal for all in the first",
        play(
            """
    - debug: {msg: one}
    - {fail: {msg: bad}, when: bad | default(false)}
""",
            any_errors_fatal="true",
        )
        + play(MARK, hosts="web"),
        bad=(3,),
        groups={"web": (1, 2, 3)},
    ),
    Scenario(
        "a second play is only for some, one of them fails in it",
        play(MARK)
        + play(
            """
    - {fail: {msg: bad}, when: bad | default(false)}
    - debug: {msg: two}
""",
            hosts="web",
        ),
        bad=(3,),
        groups={"web": (1, 2, 3)},
    ),
    Scenario(
        "nested blocks with rescue and always, loops, and one that fails",
        play(
            """
    - block:
        - block:
            - {raw: 'true', loop: [1, 2], register: r, until: r is success}
            - {fail: {msg: bad}, when: bad | default(false)}
          rescue:
            - {fail: {msg: again}}
      always:
        - {raw: 'true', delegate_to: localhost}
"""
            + MARK
        ),
        bad=(3,),
    ),
    Scenario(
        "failures are ignored, another one fails",
        play(
            """
    - {fail: {msg: bad}, when: ignored | default(false), ignore_errors: true}
    - {fail: {msg: bad}, when: bad | default(false)}
"""
            + MARK
        ),
        bad=(3,),
        variables={2: {"ignored": True}},
    ),
    Scenario(
        "facts, roles and tags; one fails at its facts",
        play(
            """
    - import_role: {name: r}
    - {debug: {msg: tagged}, tags: [never]}
"""
            + MARK,
            gather_facts="false",
        ),
        bad=(3,),
        files={
            "roles/r/tasks/main.yml": """
- setup: {gather_subset: ['!all', '!min'], gather_timeout: '{{ "x" if bad | default(false) else 10 }}'}
- debug: {msg: one}
"""
        },
    ),
)
