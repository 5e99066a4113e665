"""Twenty processes that submit one job at the same moment and wait for it; forked, to have imported once."""

import json
import os
import sys

from lvmviz.core import one_thread
from lvmviz.preload import preload
from lvmviz.runs.handle import submit
from lvmviz.runs.job import job_from_json

preload()
one_thread()
job = job_from_json(json.loads(sys.argv[1]))
gate, opened = os.pipe()
children = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        os.close(opened)
        os.read(gate, 1)  # until the parent closes the other end
        trace = submit(job).wait(120, progress=False)
        os._exit(0 if len(trace) == job.steps + 1 else 3)
    children.append(child)
os.close(opened)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
