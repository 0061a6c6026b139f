"""WGAN-GP (Gulrajani et al. 2017): the critic estimates a distance between distributions instead of a probability.

A penalty keeps the norm of its gradient near 1 between reals and fakes. That norm belongs to one picture alone, so the
critic has neither batch statistics nor dropout; it takes three steps for each of the generator's, which is DCGAN's.
"""

from __future__ import annotations

from pipeline.art.models.blueprint import Blueprint, Recipe
from pipeline.art.models.dcgan import Critic, DcganConfig, Generator, capacities

WGAN_GP = Blueprint(
    "wgan_gp",
    DcganConfig,
    {"width": 128, "dropout": 0.0},
    Generator,
    Critic,
    Recipe(
        loss="wgan-gp", lr=3e-4, critic_lr=3e-4, beta1=0.0, beta2=0.9, critic_steps=3, penalty="wgan-gp", gamma=10.0
    ),
    capacities=capacities(128),
)
