"""One thread a process: two test processes share two cores, and threads beyond the cores crawl."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
