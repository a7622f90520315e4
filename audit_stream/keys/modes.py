"""Who may open a file of keys, by its owner and mode.

Its owner alone, with one exception: of a file that root owns, the group may read it. That is what a
mounted Secret of Kubernetes is (root's, mode 0440, of the pod's ``fsGroup``): a process that is not
root cannot have it as its own. Root may read every file anyway, and who is in the group root says.
"""

from __future__ import annotations

import os
import stat

_GROUP_READS = stat.S_IRGRP
_GROUP_AND_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_WRITERS = stat.S_IWGRP | stat.S_IWOTH


def is_open_to_others(found: os.stat_result, process: int | None = None) -> bool:
    """Whether others than who should may open it; `process`: the user id that reads, this one's."""
    user = os.geteuid() if process is None else process
    lent = _GROUP_READS if found.st_uid == 0 != user else 0
    return bool(found.st_mode & _GROUP_AND_OTHERS & ~lent)


def is_writable_by_others(found: os.stat_result) -> bool:
    """Whether others than its owner may change it."""
    return bool(found.st_mode & _WRITERS)
