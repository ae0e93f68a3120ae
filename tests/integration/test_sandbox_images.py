"""A task may choose another image from the list of the settings; one that is not ours is refused at once."""

import io
from collections.abc import Iterator
from contextlib import closing

import docker
import pytest

from activities.docker_pool import DockerSandboxPool
from deploy.sandbox.image import BASE
from schema.errors import SettingsError
from schema.messages.sandbox import SandboxJob
from schema.settings import Settings
from tests.support.sandbox import DOUBLE, OWNER, TESTS, containers_of, judged, until

pytest_plugins = ["tests.support.sandbox_fixtures"]
pytestmark = pytest.mark.sandbox

OTHER = f"golden-{OWNER}:1"
MARK = "/opt/mark"


@pytest.fixture(scope="module")
def images(sandboxed: None) -> Iterator[dict[str, str]]:
    """The default image, one made from it, and one that has no runner."""
    default = Settings().sandbox_images["default"]
    recipe = io.BytesIO(f"FROM {default}\nRUN echo other > {MARK}\n".encode())
    with closing(docker.from_env()) as client:
        client.images.build(fileobj=recipe, tag=OTHER, network_mode="none", rm=True)
        yield {"default": default, "other": OTHER, "foreign": BASE}
        client.images.remove(OTHER)


async def test_a_job_runs_in_the_image_that_it_names(images: dict[str, str]) -> None:
    pool = DockerSandboxPool(
        isolation="gvisor", runtime=Settings().sandbox_runtime, images=images, size=1, owner=f"{OWNER}-images"
    )
    await pool.start()
    seen = SandboxJob(files={}, command=("cat", MARK))
    assert (await pool.run(seen)).exit_code == 1
    assert (await pool.run(seen.model_copy(update={"image": "other"}))).stdout == "other\n"
    assert (await pool.run(judged({"double.py": DOUBLE}, TESTS).model_copy(update={"image": "other"}))).passed
    with pytest.raises(SettingsError, match="is no sandbox of Golden's"):
        await pool.run(seen.model_copy(update={"image": "foreign"}))
    await pool.close()
    assert await until(lambda: not containers_of(f"{OWNER}-images"))
