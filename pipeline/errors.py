"""The old name of `pipeline.base.errors`, kept for one release so that installed plug-ins go on."""

from pipeline.base.errors import *  # noqa: F403
