"""The old name of `pipeline.base.cid`, kept for one release so that installed plug-ins go on."""

from pipeline.base.cid import *  # noqa: F403
