"""The inbox component: its parts by themselves, its types, and that what is served is what the source builds to."""

import gzip
import json
import re
import subprocess
from pathlib import Path

from tests.support.inbox_component import BUILT, SOURCE, build, node_modules

MOST = 15_000
"""Bytes, compressed, of all that a page in English loads for the element."""
OF_A_LANGUAGE = 750
"""What a page in another language loads besides."""
ON_DEMAND = {"menu.js", "stream.js"}
"""Loaded when the pointer or the focus comes to the list; and if WebSockets are blocked."""
CONSUMER = """
import { InboxClient, type Message, TidingsInbox } from "tidings-inbox";
import type { Feed } from "tidings-inbox/client";

const client = new InboxClient({ url: "https://tidings.example.com", token: async ({ refresh }) => (refresh ? "b" : "a") });
const feed: Feed = client.feed({ unread: true, category: ["orders"] });
const titles: (string | null)[] = feed.state.items.map((message: Message) => message.title);
const done: Promise<void> = client.snooze(titles.length ? "id" : { upTo: client.state.revision }, new Date());
const element: TidingsInbox = document.createElement("tidings-inbox");
element.client = client;
element.tabs = ["all", { id: "orders", label: "Orders", filter: { type: "order" } }];
client.on("message", (messages) => messages[0]?.title);
// @ts-expect-error there is no such mark
client.forget("id");
// @ts-expect-error a feed is not made by hand
feed.state.items = [];
void done;
"""


def test_its_parts_do_what_they_should_by_themselves() -> None:
    command = ["node", "--test", "--test-reporter=spec", "test/"]
    ran = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert int(re.findall(r"pass (\d+)", ran.stdout)[0]) >= 20


def test_its_types_are_strict_and_are_those_that_are_published(tmp_path: Path) -> None:
    modules = node_modules()
    (tmp_path / "consumer.ts").write_text(CONSUMER)
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "tidings-inbox").symlink_to(SOURCE)
    config = json.loads((SOURCE / "tsconfig.json").read_text())
    config["include"] = [f"{SOURCE}/{each}" for each in config["include"]] + ["consumer.ts"]
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    command = [str(modules / ".bin" / "tsc"), "--project", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_what_is_served_is_what_the_source_builds_to(tmp_path: Path) -> None:
    build(tmp_path, node_modules())
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.js")}
    committed = {path.relative_to(BUILT): path.read_bytes() for path in BUILT.rglob("*.js")}
    assert made == committed, "`make inbox` builds it anew"


def test_a_page_loads_at_most_fifteen_kilobytes_for_it() -> None:
    sizes = {
        path.name: len(gzip.compress(path.read_bytes(), 9))
        for path in BUILT.glob("*.js")
        if path.name not in ON_DEMAND
    }
    assert sizes.pop("tidings-inbox.js") <= MOST
    assert len(sizes) == 4
    assert max(sizes.values()) <= OF_A_LANGUAGE
