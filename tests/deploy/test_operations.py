"""docs/operations.md names only commands, settings, topics and groups that exist."""

import re

import pytest
from django.core.management import get_commands

from tests.deploy.test_env_example import read_by_the_product
from wokibrain.core import env
from wokibrain.events import registry
from wokibrain.events.types import Group, topics

TEXT = (env.ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
NO_SETTINGS = {"CREATE", "FLUSHDB", "UTC"}


def test_the_readme_links_to_the_operations_guide() -> None:
    assert "](docs/operations.md)" in (env.ROOT / "README.md").read_text(encoding="utf-8")


def test_its_commands_exist() -> None:
    assert set(re.findall(r"manage\.py (\w+)", TEXT)) - set(get_commands()) == set()


def test_its_settings_exist() -> None:
    names = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)*)[`=/]", TEXT))
    assert names - NO_SETTINGS - read_by_the_product() == set()


@pytest.mark.parametrize(
    "name", [*Group, *(topic.kafka for topic in topics()), "wokibrain.webhooks.deliveries"]
)
def test_it_names_every_topic_and_group(name: str) -> None:
    assert f"`{name}`" in TEXT


def test_the_groups_that_consume_connects_for_are_counted() -> None:
    assert f"consumer group of `consume` ({len(registry.groups())})" in TEXT.replace("\n", " ")
