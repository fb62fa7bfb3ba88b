"""Of RabbitMQ's plugins only those that are enabled are there, with what they need."""

from pathlib import Path

from tidings_local.rabbitmq_home import without_unused_plugins
from tidings_local.rabbitmq_programs import RabbitMQPrograms

NEEDS = {
    "rabbit-3.10.8": "kernel, stdlib, rabbit_common",
    "rabbit_common-3.10.8": "kernel,\n  recon",
    "rabbitmq_prelaunch-3.10.8": "kernel",
    "recon-2.5.2": "stdlib",
    "rabbitmq_management-3.10.8": "rabbit,cowboy",
    "cowboy-2.8.0": "",
    "rabbitmq_shovel-3.10.8": "rabbit,amqp10_client",
}


def installation(root: Path) -> RabbitMQPrograms:
    for folder, needs in NEEDS.items():
        described = root / "plugins" / folder / "ebin"
        described.mkdir(parents=True)
        name = folder.rpartition("-")[0]
        (described / f"{name}.app").write_text(
            f"{{application,{name},[{{applications,[{needs}]}}]}}."
        )
    (root / "sbin").mkdir()
    (root / "sbin" / "rabbitmq-server").touch()
    return RabbitMQPrograms(root / "sbin", Path("/usr/bin/erl"), Path("/usr/bin/epmd"), "3.10.8")


def test_those_that_are_enabled_and_what_they_need_are_there(tmp_path: Path) -> None:
    programs, folder = installation(tmp_path / "rabbitmq"), tmp_path / "installation"
    for enabled, others in (
        (["rabbitmq_management", "rabbitmq_shovel"], ()),
        ([], ("cowboy-2.8.0",)),
    ):
        sbin = without_unused_plugins(programs, folder, enabled)
        assert sbin is not None
        assert (sbin / "rabbitmq-server").exists()
        names = {place.name for place in (folder / "plugins").iterdir()}
        assert {"rabbit-3.10.8", "rabbit_common-3.10.8", "recon-2.5.2"} <= names
        assert ("rabbitmq_shovel-3.10.8" in names) == ("rabbitmq_shovel" in enabled)
        assert not names.intersection(others)


def test_an_installation_with_other_plugins_is_used_as_it_is(tmp_path: Path) -> None:
    programs = installation(tmp_path / "rabbitmq")
    assert without_unused_plugins(programs, tmp_path / "made", ["rabbitmq_mqtt"]) is None
    assert not (tmp_path / "made").exists()
