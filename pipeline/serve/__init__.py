"""What others see of a workspace over HTTP: a page for people, JSON for services."""
