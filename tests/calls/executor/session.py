"""A Dask cluster on loopback whose tasks run in boxes: it tells as JSON what came of them. It runs in a process of its own.

Arguments: a file that no box may see. The modules of the tasks lie in the working directory.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import dask
from distributed import Client, LocalCluster, Scheduler, Worker

from sandboxer import SandboxerError, SandboxExecutor, box_task

LOOPBACK = {"host": "127.0.0.1", "dashboard_address": None}


def come_to(client: Client, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a task came to: its value, or what can be said of its error here, where the client is."""
    try:
        return client.submit(function, *arguments, pure=False).result(60)
    except Exception as error:
        classes = [kind.__name__ for kind in type(error).__mro__]
        result = getattr(error, "result", None)
        return {"classes": classes, "text": str(error), "reason": result.reason.value if result else ""}


def run_tasks(client: Client, secret: str) -> dict[str, Any]:
    from boxed_jobs import honest as jobs
    from boxed_jobs import hostile

    def has_module() -> bool:
        return "boxed_jobs" in sys.modules

    factor = 7
    told = {
        "workers": sorted(client.run(os.getpid).values()),
        "named": come_to(client, box_task(jobs.add.local), 1, 2),
        "by value": come_to(client, box_task(lambda value: factor * value), 6),
        "mapped": client.gather(client.map(box_task(jobs.add.local), range(20), [1] * 20)),
        "secret": come_to(client, box_task(jobs.read.local), secret),
        "calls out": come_to(client, box_task(hostile.calls_out.local)),
        "killed": come_to(client, box_task(jobs.leave.local), 3),
        "hung": come_to(client, box_task(jobs.after.local, timeout="1s"), 1000.0, 1),
        "garbage": come_to(client, box_task(hostile.garbage.local)),
        "forged": [come_to(client, box_task(one)) for one in (hostile.reduces.local, hostile.forged_code.local)],
        "raised": come_to(client, box_task(jobs.refuse.local), "this"),
        "after all that": come_to(client, box_task(jobs.add.local), 3, 4),
        "workers after all that": sorted(client.run(os.getpid).values()),
        "imported by workers": list(client.run(has_module).values()),
    }
    chained = client.submit(box_task(jobs.add.local), client.submit(box_task(jobs.add.local), 1, 2), 10)
    told["chained"] = [chained.result(60), chained.key.partition("-")[0]]
    told["delayed"] = dask.delayed(box_task(jobs.add.local))(1, 5).compute()
    told["class"] = come_to(client, box_task(jobs.move.local), jobs.Point(1, 2), 3) == [jobs.Point(4, 5)]
    told["secret without a box"] = come_to(client, jobs.read.local, secret)
    return told


async def run_in_executor() -> bool:
    """Whether a worker that has our executor in place of its own refuses to run anything."""
    with SandboxExecutor(max_workers=1) as executor:
        async with (
            Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler,
            Worker(scheduler.address, executor=executor, host="127.0.0.1", dashboard=False) as worker,
            Client(worker.scheduler.address, asynchronous=True) as client,
        ):
            try:
                await client.submit(len, "text")
            except SandboxerError:
                return True
    return False


def main() -> None:
    dask.config.set({"distributed.logging.distributed": "critical"})
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, scheduler_port=0, worker_dashboard_address=None, **LOOPBACK) as cluster,
        Client(cluster) as client,
    ):
        told = run_tasks(client, sys.argv[1])
    told["refused by the executor"] = asyncio.run(run_in_executor())
    print(json.dumps(told))


if __name__ == "__main__":
    main()
