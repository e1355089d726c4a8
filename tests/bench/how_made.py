"""How the figures came about, in the words that stand below them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.table import MODEL, REAL_EIGHT_WIDE, REAL_SEQUENTIAL

if TYPE_CHECKING:
    from bench.table import Figures

PER_INSTANCE = """\
The per-instance way makes four calls for each instance through awxkit (look the name up, create, associate, launch),
one instance at a time (20) or eight side by side (100), in the same run on the same server."""
REAL_RUN = f"""\
The stack was deployed on the embedded cloud and worked on a real server, version {{server}}: 1, 10 and 100
instances at once in one Auto Scaling group, then the per-instance ways on the same server. ms per instance: from the
start of the first register invocation to the end of its last one, by the scale-out's size; every instance is then
registered, in its group, its job launched, and handed to the gate. Goals without a verdict belong to the model, whose
latencies are known; here only what compares two ways of one run is to be met.
{PER_INSTANCE}"""
BAKE_RUN = """\
- A bake: of a group on a stack with `Bakes`, with a smoke test (`boot`) and without its roll-out, which is a cycle. AWS
  is assumed to take 30 s until an instance runs, 120 s for its status checks and 180 s for an image. These, the job of
  110 s and the waits of Step Functions take a tenth of it here, and seconds are given times ten, so that they hold the
  time of the function itself ten times. Its price: builder and smoke instance (t4g.small) with their volumes, each
  counted to the end of the bake; state transitions, the function, logs and events as of a cycle. What an image's
  snapshots cost a month stands apart, for their whole size.
- Retention: the built function under Lambda's runtime, from the event to its answer, in a process that has just
  started, over 1,000 images of a group, all but the newest five of which are to go, and 10,000 versions of its launch
  template. The embedded AWS answers, after 50 ms at least: assumed, not measured. That AWS throttles so many calls is
  left out. The goal is what the function's timeout leaves it, with the share of a CPU that comes with its memory."""
MODEL_RUN = f"""\
`make bench` deploys template.yaml on the embedded cloud and launches 1, 10, 100 and 1,000 instances at once in one
Auto Scaling group. The Tower there takes for each call what an AWX 24.6.1 on two cores took (medians of single calls)
and works on two at a time. A job takes 110 s, 5 % more or less.

- ms per instance: from the start of the first register invocation to the end of its last one, by the scale-out's
  size; every instance is then registered, in its group, its job launched, and handed to the gate. It leaves out the
  batching window of the event source; "after the first launch" and "from the first launch on" count from the first
  instance in Pending:Wait.
- {PER_INSTANCE.replace(chr(10), chr(10) + "  ")}
  The real server took {REAL_SEQUENTIAL:.0f} ms (one at a time) and {REAL_EIGHT_WIDE:.0f} ms (eight-wide) an instance.
  The model, made from medians of single calls, is slower in these ways than that server: the speed-up beside its
  {REAL_EIGHT_WIDE:.0f} ms is the one to trust.
- Result readable: Tower has processed the job's events. CONTINUE: the instance enters Pending:Proceed. The goal is for
  all instances of all scale-outs.
- Tower calls of the scale-out of 1,000: all until its instances are in service. The smaller ones overlap, so theirs are
  counted to the launch, and for the three together to in service.
- Polls of a job of 5 min: the real register and gate on a simulated clock, jobs of 285 to 315 s after five such jobs,
  and after four such jobs and one of 60 s; the most of all. The heartbeat timeout is 600 s.
- A run of reconcile: the built function under Lambda's runtime, from the event to its answer, in a process that has
  just started and knows nothing; the start itself is given beside it. One inventory, groups of 100 instances, one of
  which drifted: a host too many, of an instance that is terminated, that AWS does not know, or whose address another
  instance has by now (3 in 10), an instance without a host (3 in 10), or a host that is wrong: its address, none, its
  inventory group, its Auto Scaling group (4 in 10). None is so new that a job would be launched. Afterwards every host
  has to be right, and a second run, a dry one, must find nothing to do. In the place of AWS is a server that answers as
  AWS writes, 50 ms after each call and 1 ms more for each instance that EC2 describes: assumed, not measured. Hosts
  that prove by themselves to be right spare EC2 most of that; "all described": they have public addresses, which prove
  nothing, for they change.
- The list API: awxkit reads the 10,000 hosts, 200 a page, from the same model. 3 of the 50 pages are read, and the
  others counted as long. It is compared with a whole run that finds
  nothing to do, which reads the inventory and all groups, and with the one that put right what had drifted.
- A cycle: 100 instances in four batches of 25, the default, on a stack with `Cycles` and `LoadBalancers` of its own,
  with the check `elb`, and a client that sends 20 requests a second through a load balancer. Step Functions waits as
  long as on AWS. From the start of the execution to its end, until all is verified and put back. The least that it
  can take is computed from how the embedded cloud was set up: four times a launch (no time), the job of 110 s, in which
  the boot is waited for, one health check of the load balancer (5 s) and the warm-up (1 s), and at last the draining of
  the old targets (1 s). Its price: state transitions, the invocations of its function, logs and events; all of the
  function's time counts as computing. Left out is what a launch and a termination cost anyway.
{BAKE_RUN}
- Cold start: from the start of the process under Lambda's runtime to the answer to its first event; the floor does the
  least such a function can: it imports boto3 and requests and makes the same clients, as `sam build` alone leaves it.
  Milliseconds are the least of nine each, ratios the median of nine pairs, each started one after the other. `make
  build` compiles the libraries of the layers, too, so a function can undercut that floor; beside it stands a floor
  whose layer is compiled likewise. Both floors search for garbage as often as Python does by itself, a function rarely.
- List price: of one scale-out of 1,000 and the removal of its instances. us-east-1, arm64, no free tier; Lambda
  (invocations, durations, initializations), SQS, logs, secret, events (three for each instance). Waiting is billed as
  measured here, computing as slower as the memory's share of a CPU makes it. The memory is the cheapest size that holds
  twice the largest measured peak; 128 MB would cost less and leave too little. Left out: network traffic, and what
  costs the same whatever the load (idle polling of the event sources, alarms, the dashboard, metrics, with those of one
  group), which is given for a month."""


def how_made(figures: Figures) -> str:
    """How the figures came about, in sentences."""
    server = figures.get("server")
    if server is None:
        return BAKE_RUN
    return MODEL_RUN if server == MODEL else REAL_RUN.format(server=server)
