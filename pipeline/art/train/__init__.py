"""Training: the games that networks play, their data, their records. Nothing here is needed to mint."""
