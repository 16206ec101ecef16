"""Calls a Lambda function as Lambda's bootstrap does, in an interpreter that knows nothing else.

`python -I -S bootstrap.py FOLDER HANDLER` reads a list of events, calls the handler with each, and
prints one last line of JSON: the answers, the modules that importing the handler loaded, and the
seconds of processor time of the import and of each call.
"""

import importlib
import itertools
import json
import sys
import time

REQUEST_ID = "6e0e6d16-7ea0-4dba-9c7f-0a1b2c3d4e5f"


class Context:
    """What Lambda tells a function about its call."""

    function_name = "bare"
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:bare"
    aws_request_id = REQUEST_ID

    def get_remaining_time_in_millis(self):
        return 170_000


def main(folder, entry_point):
    events = json.load(sys.stdin)
    before = set(sys.modules)
    sys.path.insert(0, folder)
    module, _, name = entry_point.rpartition(".")
    seconds = [time.process_time()]
    handler = getattr(importlib.import_module(module), name)
    modules = sorted(set(sys.modules) - before)
    seconds.append(time.process_time())
    answers = []
    for event in events:
        answers.append(handler(event, Context()))
        seconds.append(time.process_time())
    spent = [end - start for start, end in itertools.pairwise(seconds)]
    print("\n" + json.dumps({"answers": answers, "modules": modules, "seconds": spent}))  # noqa: T201


main(*sys.argv[1:])
