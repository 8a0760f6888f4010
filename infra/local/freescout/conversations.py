"""Conversations with their threads, and what modules hang on them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from infra.local.freescout.chance import Chance, packed, stamp
from infra.local.freescout.people import DELETED_MAILBOXES, LIVE_MAILBOXES, MAILBOXES, People
from infra.local.freescout.tables import Tables
from infra.local.freescout.text import body, preview, subject

CUSTOMER, MESSAGE, NOTE, EVENT, CHAT = 1, 2, 3, 4, 8
TAGS = ("vip", "VIP", "refund", "überfällig", "🔥", "bug", "sla-breach", "a/b", "", "spaces in tag")
FILES = (
    "image001.png", "Rechnung März.pdf", "../../etc/passwd", "报告.xlsx", 'a;b,c"d.csv', "noext", "x" * 240 + ".txt",
)  # fmt: skip
HEADERS = "Received: from x\r\nSubject: y\r\nDate: Tue, 1 Jan 2019 10:00:00 +0530"


@dataclass
class Conversation:
    """One conversation while it is made. Codes are FreeScout's own."""

    number: int
    kind: int
    status: int
    state: int
    mailbox: int
    agent: int | None
    customer: int | None
    address: str | None
    via: int
    source: int
    made: dt.datetime
    imported: bool
    last: dt.datetime = field(init=False)
    replied: dt.datetime | None = None
    replied_by: int | None = None
    customer_replied: dt.datetime | None = None
    shown: int = 0
    attached: bool = False
    text: str = ""


def make(tables: Tables, chance: Chance, people: People, count: int) -> None:
    """So many conversations, their threads, attachments, tags, fields and timers."""
    for tag, name in enumerate(TAGS):
        tables["tags"].add(name, 0, tag % 8)
    for mailbox in LIVE_MAILBOXES:
        tables["custom_fields"].add(mailbox, "Priority", 1, '{"1":"Low","2":"Medium","3":"High","4":"Urgent"}', 1)
        tables["custom_fields"].add(mailbox, "Due", 5, None, 2)
    shown_number = 0
    for number in range(1, count + 1):
        shown_number += chance.number(2, 9) if chance.hits(0.01) else 1
        conversation = _conversation(chance, people, number)
        threads = min(60, 1 + int(chance.random.expovariate(1 / 2.6)))
        for place in range(threads):
            _thread(tables, chance, people, conversation, place, last=place == threads - 1)
        repeated = chance.number(1, 5) if chance.hits(0.002) else 0  # `number` is not unique
        _write(tables, chance, people, conversation, max(1, shown_number - repeated))
        _around(tables, chance, people, conversation)
        _modules(tables, chance, people, conversation, count)


def _conversation(chance: Chance, people: People, number: int) -> Conversation:
    status = chance.weighted({1: 22, 2: 12, 3: 58, 4: 8})
    state = chance.weighted({1: 3, 2: 92, 3: 5})
    mailbox = chance.pick(tuple(MAILBOXES))
    if mailbox in DELETED_MAILBOXES and chance.hits(0.8):
        mailbox = chance.pick(LIVE_MAILBOXES)
    people.mess["deleted_mailbox"] += mailbox in DELETED_MAILBOXES
    customer: int | None
    customer, addresses = chance.pick(people.customers)
    address = chance.pick(addresses) if addresses else None
    if state == 1 and chance.hits(0.5):
        customer = address = None
    if customer and chance.hits(0.004):
        customer = len(people.customers) + 500_000 + number
        people.mess["orphan_customer"] += 1
    if address and chance.hits(0.01):
        address = address.upper()
    agent = None if chance.hits(0.35) else chance.pick(people.agents)
    if chance.hits(0.006):
        agent = len(people.agents) + 777  # removed for good, long ago
        people.mess["orphan_agent"] += 1
    made = chance.time()
    found = Conversation(
        number, chance.weighted({1: 88, 2: 5, 3: 6, 4: 1}), status, state, mailbox, agent, customer, address,
        1 if chance.hits(0.8) else 2, chance.weighted({1: 80, 2: 15, 3: 5}), made, chance.hits(0.04),
    )  # fmt: skip
    found.last = made
    return found


def _thread(
    tables: Tables, chance: Chance, people: People, conversation: Conversation, place: int, *, last: bool
) -> None:
    if place and conversation.last.year < 2090:
        conversation.last += dt.timedelta(seconds=chance.number(30, 200_000))
    moment, kind = conversation.last, _kind(chance, conversation, place)
    state = 1 if (conversation.state == 1 and last) or chance.hits(0.01) else 3 if chance.hits(0.01) else 2
    text = None if kind == EVENT else body(chance, html=conversation.kind == 1)
    people.mess["long_body"] += bool(text and len(text) > 100_000)
    customer = conversation.customer if kind == CUSTOMER or (kind == CHAT and chance.hits(0.5)) else None
    agent = None if customer else conversation.agent or chance.pick(people.agents)
    attached = kind != EVENT and chance.hits(0.12)
    action, action_value, subtype, meta = _action(chance, conversation, kind)
    number = tables["threads"].last_id + 1
    tables["threads"].add(
        conversation.number, conversation.agent, kind, conversation.status if chance.hits(0.7) else 6, state,
        action, action_value, text, HEADERS if kind == CUSTOMER and chance.hits(0.1) else None,
        conversation.address if kind == CUSTOMER else None,
        packed([f"box{conversation.mailbox}@helpdesk.example"]) if chance.hits(0.8) else chance.one(None, "[]", ""),
        packed(["cc@example.org", "Größe <b@example.org>"]) if chance.hits(0.08) else chance.one(None, "[]"),
        None, attached,
        f"<{number}.{chance.seed}@mail.example>" if kind in (CUSTOMER, MESSAGE) and chance.hits(0.97) else None,
        1 if customer else 2, conversation.source, conversation.customer, agent, customer, place == 0,
        stamp(moment + dt.timedelta(hours=2)) if kind == MESSAGE and chance.hits(0.3) else None,
        None if chance.hits(0.001) else stamp(moment), stamp(moment), subtype, meta, conversation.imported,
    )  # fmt: skip
    if attached:
        conversation.attached = True
        _attach(tables, chance, number, agent)
    if kind in (CUSTOMER, MESSAGE, CHAT) and state == 2:
        conversation.shown += 1
        conversation.replied, conversation.replied_by = moment, 1 if customer else 2
        conversation.text = (text or "")[:400]
        conversation.customer_replied = moment if customer else conversation.customer_replied
    if kind == MESSAGE and chance.hits(0.15):
        tables["send_logs"].add(
            number, conversation.customer, None, f"<{number}.{chance.seed}@mail.example>",
            conversation.address or "x@example.org", 1, chance.one(1, 1, 2, 4, 5), stamp(moment), stamp(moment),
        )  # fmt: skip


def _kind(chance: Chance, conversation: Conversation, place: int) -> int:
    draw = chance.random.random()
    kind = CUSTOMER if (place == 0 and conversation.via == 1) or draw < 0.36 else CHAT
    if kind == CHAT and draw < 0.97:
        kind = MESSAGE if draw < 0.70 else NOTE if draw < 0.82 else EVENT
    if conversation.kind == 3 and kind in (CUSTOMER, MESSAGE) and chance.hits(0.5):
        return CHAT
    return kind


def _action(chance: Chance, conversation: Conversation, kind: int) -> tuple[Any, Any, Any, Any]:
    """action_type, action_data, subtype and meta of a thread."""
    if kind != EVENT:
        if chance.hits(0.02):
            return None, None, 1, packed({"fw_pcn": conversation.number, "fw_pci": conversation.number})
        return None, None, None, None
    action = chance.one(1, 2, 3, 4, 5, 8, 9, 10, 11)
    meta = {4: packed({"mwc": conversation.number}), 3: packed({"pc": conversation.number})}.get(action)
    return action, conversation.address if action == 9 else None, None, meta


def _attach(tables: Tables, chance: Chance, thread: int, agent: int | None) -> None:
    for _ in range(chance.number(1, 3)):
        tables["attachments"].add(
            thread + 9_000_000 if chance.hits(0.01) else thread, agent,
            f"{chance.number(0, 9)}/{chance.number(0, 9)}/{chance.number(0, 9)}", chance.pick(FILES),
            chance.one("image/png", "application/pdf", "text/csv", "application/octet-stream"), chance.one(0, 3, 5, 8),
            None if chance.hits(0.05) else chance.number(0, 25_000_000), chance.hits(0.2), chance.one(2, 3),
        )  # fmt: skip


def _write(tables: Tables, chance: Chance, people: People, made: Conversation, shown_number: int) -> None:
    closed = None
    if made.status == 3 and not chance.hits(0.03):
        closed = made.made - dt.timedelta(days=2) if chance.hits(0.01) else made.last  # some closed before they began
    folder = {3: 70, 1: 30}.get(made.state) or {4: 80, 3: 60}.get(made.status) or (40 if made.agent else 1)
    tables["conversations"].add(
        shown_number, made.shown, made.kind, 0 if chance.hits(0.003) else people.folders[made.mailbox, folder],
        made.status, made.state, subject(chance, made.number), made.address,
        packed(["cc@example.org"]) if chance.hits(0.07) else chance.one(None, "[]"), None, preview(made.text),
        made.imported, made.attached, made.mailbox, made.agent, made.customer,
        None if made.via == 1 else made.agent or 1, made.customer if made.via == 1 else None, made.via, made.source,
        (made.agent or chance.pick(people.agents)) if closed else None, stamp(closed),
        None if chance.hits(0.3) else stamp(made.last), stamp(made.replied), made.replied_by,
        None if chance.hits(0.001) else stamp(made.made), None if chance.hits(0.002) else stamp(made.last),
        chance.number(10, 14) if made.kind == 3 else None, chance.one(None, None, None, '{"tt":1}'),
        None if chance.hits(0.4) else stamp(made.customer_replied),
    )  # fmt: skip


def _around(tables: Tables, chance: Chance, people: People, made: Conversation) -> None:
    if chance.hits(0.06):
        tables["followers"].add(made.number, chance.pick(people.agents))
    if chance.hits(0.05):
        tables["conversation_folder"].add(chance.number(1, tables["folders"].last_id), made.number)
    if chance.hits(0.02):
        tables["activity_logs"].add(
            chance.one("users", "out_emails", None), "x", made.number, "App\\Conversation", chance.pick(people.agents),
            "App\\User", chance.one(None, "[]", '{"ip":"::1"}'), stamp(made.last), stamp(made.last),
        )  # fmt: skip


def _modules(tables: Tables, chance: Chance, people: People, made: Conversation, count: int) -> None:
    for _ in range(chance.weighted({0: 62, 1: 24, 2: 10, 4: 4})):
        finished, number = chance.hits(0.93), made.number
        if chance.hits(0.006):  # its conversation was merged away
            number = count + 10_000 + tables["timelogs"].last_id
            people.mess["orphan_timer"] += 1
        forgotten = (0, 86_400 * chance.number(1, 30))
        seconds = chance.number(5, 5_400) if chance.hits(0.97) else chance.pick(forgotten)
        tables["timelogs"].add(
            number, made.status if chance.hits(0.8) else chance.number(1, 4), made.agent or chance.pick(people.agents),
            seconds, not finished and chance.hits(0.5), finished, stamp(made.made),
            stamp(made.made + dt.timedelta(seconds=seconds)),
        )  # fmt: skip
    for tag in chance.random.sample(range(1, len(TAGS) + 1), chance.weighted({0: 75, 1: 20, 3: 5})):
        tables["conversation_tag"].add(made.number, tag)
    if made.mailbox in LIVE_MAILBOXES and chance.hits(0.5):
        priority = LIVE_MAILBOXES.index(made.mailbox) * 2 + 1
        tables["conversation_custom_field"].add(made.number, priority, chance.one("1", "2", "3", "4", "", "9"))
