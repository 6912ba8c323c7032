"""The lab that the tests of the whole stack share: those before and after them have other ones, or none."""

from collections.abc import Iterator

import pytest

from lab.prove import releases
from tests.lab.stack import Stack, expressway, up
from tests.paths import ROOT


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """With what is off by default, a secret and a role of the app's own, in the proof's release."""
    expressway("lab", "down")
    folder = tmp_path_factory.mktemp("stack")
    text = folder / "stripe"
    text.write_text("the-first-stripe-key")
    app = releases.make(ROOT / "app", folder, "0.1.1")
    own = ["--secret", f"shop/stripe={text}", "--config", "expressway:app.secrets.STRIPE_KEY=shop/stripe"]
    own += ["--config", "expressway:database.appUser=app"]
    settings = ["--config", "expressway:edge.events=true", "--config", "expressway:app.maxSize=6"]
    yield up("--app", str(app), *settings, *own)
    expressway("lab", "down")
