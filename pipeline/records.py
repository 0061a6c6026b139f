"""The old name of `pipeline.base.records`, kept for one release so that installed plug-ins go on."""

from pipeline.base.records import *  # noqa: F403
