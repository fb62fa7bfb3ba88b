"""Templates in the console: listed with their problems, and shown as recipients get them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.console_rig import ConsoleRig

from tidings.settings import Settings
from tidings.templates import STARTER

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter set, as this process's templates."""
    root = tmp_path_factory.mktemp("templates") / "starter"
    shutil.copytree(STARTER, root)
    return root


@pytest.fixture(scope="module")
def console_settings(console_settings: Settings, folder: Path) -> Iterator[Settings]:
    """Of a process that has these templates."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TIDINGS_TEMPLATES_ROOT", str(folder))
        yield Settings().check()


async def test_all_are_listed_with_their_problems(console: ConsoleRig, folder: Path) -> None:
    (folder / "broken" / "default").mkdir(parents=True)
    (folder / "broken" / "default" / "sms.j2").write_text("{{ code }")
    person = await console.person("read", tenant="shop")
    page = await person.get("/templates")
    for words in ("order-shipped", "otp", "default, pt-BR", "broken/default/sms.j2:1"):
        assert words in page.text
    assert 'href="/console/templates/preview?name=otp"' in page.html


async def test_one_is_shown_in_each_locale_with_samples_and_then_with_other_data(
    console: ConsoleRig, folder: Path
) -> None:
    person = await console.person("read", "send", tenant="shop")
    page = await person.get("/templates/preview?name=otp&channel=sms")
    assert page.text.count("493021") >= 3
    assert ">default</h2>" in page.html
    assert ">pt-BR</h2>" in page.html
    page = await person.get("/templates/preview?name=welcome")
    assert 'sandbox=""' in page.html
    form = {"name": "otp", "channel": "sms"}
    page = await person.send("/templates/preview", form, data='{"code": "000111", "minutes": 7}')
    assert "000111" in page.html.split("<h2")[1]
    page = await person.send("/templates/preview", form, data='{"code": ')
    assert (page.status, "It is no JSON" in page.text) == (422, True)
    page = await person.send("/templates/preview", form, data="[1]")
    assert (page.status, "no JSON object" in page.text) == (422, True)
    page = await person.send("/templates/preview", form, data="{}")
    assert "code" in page.text.split("default", 1)[1]


async def test_what_is_not_there_is_not_found_and_a_viewer_types_no_data(
    console: ConsoleRig, folder: Path
) -> None:
    viewer = await console.person("read")
    await viewer.get("/templates")
    assert (await viewer.get("/templates/preview?name=gone")).status == 404
    assert (await viewer.get("/templates/preview?name=otp&channel=fax")).status == 422
    assert (await viewer.send("/templates/preview", name="otp", data="{}")).status == 403
