"""Firefox in tests: a headless Firefox of the system, driven by Mozilla's Marionette."""

import gc
import shutil
import socket
import warnings

import pytest


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def firefox(tmp_path_factory):
    """A headless Firefox; conftest.py deselects without it."""
    reason = "pip install marionette-driver"
    marionette = pytest.importorskip("marionette_driver.marionette", reason=reason)
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    assert program, "no Firefox on this machine: apt-get install firefox-esr"
    log = str(tmp_path_factory.mktemp("firefox") / "gecko.log")
    with warnings.catch_warnings():
        # the driver does not close the sockets with which it waits for Firefox
        warnings.simplefilter("ignore", ResourceWarning)
        driver = marionette.Marionette(bin=program, headless=True, port=free_port(), gecko_log=log)
        driver.start_session()
        gc.collect()
    yield driver
    driver.quit()
