"""The same flow with its chunks on a Dask cluster, for `pip install 'seedream-tasks[dask]'`.

DASK_SCHEDULER_ADDRESS names a cluster that is there already; without it two processes are started here for each run.
"""

import os

from prefect_dask import DaskTaskRunner

from seedream_tasks.orchestration.flows import catalog_images

_address = os.environ.get("DASK_SCHEDULER_ADDRESS")
_here = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}

catalog_images_on_dask = catalog_images.with_options(
    task_runner=DaskTaskRunner(address=_address) if _address else DaskTaskRunner(cluster_kwargs=_here)
)

__all__ = ["catalog_images_on_dask"]
