"""Which images a lab needs: the plain one, the baked ones of both tiers, and those behind managed services."""

from collections.abc import Sequence

from artifact import Runtime
from lab.machines import recipe
from lab.machines.recipe import Recipe
from lab.machines.services import load_balancer, postgresql, proxy, redis
from lab.paths import ROOT

USER_DATA = ROOT / "user_data"


def packages(tier: str) -> list[str]:
    """The Debian packages that the user data of `tier` installs."""
    return (USER_DATA / tier / "packages.txt").read_text().split()


def recipes(runtime: Runtime) -> Sequence[Recipe]:
    """Everything that `lab up` makes when it is missing."""
    edge, app = packages("edge"), packages("app")
    return (
        recipe.debian(edge + app),
        recipe.edge(edge),
        recipe.app(app, runtime.path, runtime.sha256),
        postgresql.IMAGE,
        redis.IMAGE,
        load_balancer.IMAGE,
        proxy.IMAGE,
    )
