"""Who is in the sample database: agents, their mailboxes, and customers with the duplicates every help desk has."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from dataclasses import dataclass, field

from infra.local.freescout.chance import COMPANIES, EMOJI, LEGAL_FORMS, NOW, ZONES, Chance, packed, stamp
from infra.local.freescout.tables import Tables

MAILBOXES = range(1, 8)
DELETED_MAILBOXES = (3, 6)
"""Deleted long ago, by a version that left their conversations behind."""

LIVE_MAILBOXES = tuple(number for number in MAILBOXES if number not in DELETED_MAILBOXES)


@dataclass
class People:
    """What conversations refer to. customers: (id, addresses). persons: (customer id, person id), the truth about which
    customers are one person. folders: (mailbox, folder type) -> id. mess: how often each kind of mess was made.
    """

    agents: list[int] = field(default_factory=list)
    agent_addresses: list[str] = field(default_factory=list)
    folders: dict[tuple[int, int], int] = field(default_factory=dict)
    customers: list[tuple[int, list[str]]] = field(default_factory=list)
    persons: list[tuple[int, int]] = field(default_factory=list)
    mess: Counter[str] = field(default_factory=Counter)


def make(tables: Tables, chance: Chance, conversations: int) -> People:
    """Agents, mailboxes and customers for so many conversations."""
    people = People()
    _agents(tables, chance, people, max(8, min(120, conversations // 150)))
    _mailboxes(tables, chance, people)
    wanted, person = max(20, int(conversations * 0.42)), 0
    while len(people.customers) < wanted:
        person += 1
        _person(tables, chance, people, person)
    for number in range(max(3, wanted // 300)):
        tables["emails"].add(wanted + 100_000 + number, chance.address("orphan", "mail"), 1)
    odd = ("mailer-daemon@", "not-an-email", "a@b", "ünïcödé@example.org", "x" * 120 + "@example.org")
    for address in odd:
        tables["emails"].add(1, address, 3)
    return people


def _agents(tables: Tables, chance: Chance, people: People, count: int) -> None:
    for number in range(1, count + 1):
        first, last = chance.pick(chance.names)
        status = 3 if chance.hits(0.12) else 2 if chance.hits(0.08) else 1
        address, kind = chance.address(first, last, "helpdesk.example"), 1
        if status == 3:
            address = f"{address}_deleted{chance.time():%Y%m%d%H%M%S}"[:100]
        if number == count:
            kind, first, last, address, status = 2, "Workflow", "", "fs.workflow@example.org", 3
        alternate = chance.one(None, "", f"alt{number}@example.org, alt{number}b@example.org")
        people.agents.append(
            tables["users"].add(
                first[:20], last[:30], address, "$2y$10$" + "x" * 53, 2 if number <= 2 else 1, chance.pick(ZONES), kind,
                chance.one(1, 1, 1, 2, 3), alternate, chance.one(None, "Agent"),
                chance.phone()[:60] if chance.hits(0.5) else None, stamp(chance.time()), stamp(NOW),
                chance.one(None, "en", "de", "pt-BR", "fa"), status,
                chance.one(None, '{"1":true}', "[]", '{"1":true,"10":true}'),
            )
        )  # fmt: skip
        people.agent_addresses.append(address)


def _mailboxes(tables: Tables, chance: Chance, people: People) -> None:
    for number in MAILBOXES:
        live = number in LIVE_MAILBOXES
        if live:
            name = f"{chance.one('Support', 'Sales', 'Büro', 'الدعم', 'Billing')} {number}"
            aliases = chance.one(None, "", "a@helpdesk.example,b@helpdesk.example")
            meta = chance.one(None, "{}", '{"spam":{"k":1}}')
            made = stamp(chance.time())
            tables["mailboxes"].add(name, f"box{number}@helpdesk.example", aliases, made, stamp(NOW), meta)
        else:
            tables["mailboxes"].skip()
        for kind in (1, 30, 40, 60, 70, 80):
            folders = tables["folders"]
            people.folders[number, kind] = folders.add(number, None, kind, 0, 0) if live else folders.skip()
    for agent in people.agents:
        number = chance.pick(LIVE_MAILBOXES)
        tables["mailbox_user"].add(number, agent)
        for kind in (20, 25):
            tables["folders"].add(number, agent, kind, 0, 0)


def _person(tables: Tables, chance: Chance, people: People, person: int) -> None:
    """One person as a customer, now and then several times, under names that differ."""
    first, last = chance.pick(chance.names)
    company = None if chance.hits(0.45) else chance.pick(COMPANIES) + chance.pick(LEGAL_FORMS)
    phones = [chance.phone() for _ in range(chance.number(1, 3))]
    city = chance.one("Berlin", "München", "Paris", "東京", "القاهرة", None, "")
    first_address: str | None = None
    for copy in range(1 if chance.hits(0.86) else chance.number(2, 4)):
        copied_first, copied_last, copied_company = first, last, company
        if copy:
            people.mess["duplicate_customers"] += 1
            copied_first, copied_last = _retyped(chance, first, last)
            if company:
                variants = (company, company.lower(), chance.typo(company), company + ".", company.split(",")[0])
                copied_company = chance.pick(variants)
        name = _spoilt(chance, copied_first, copied_last)
        addresses = _addresses(chance, first, last, first_address if copy else None)
        if not addresses:
            people.mess["customers_without_address"] += 1
        if not copy:
            first_address = addresses[0] if addresses else None
        if chance.hits(0.004):
            addresses += _agent_address(chance, people)
        customer = _customer(tables, chance, people, name, copied_company, phones, city)
        for address in addresses:
            tables["emails"].add(customer, address, chance.one(1, 1, 1, 2, 3))
        people.customers.append((customer, addresses))
        people.persons.append((customer, person))


def _retyped(chance: Chance, first: str, last: str) -> tuple[str, str]:
    draw = chance.random.random()
    if draw > 0.85:
        return last, first
    return (chance.typo(first) if draw < 0.5 else first), (chance.typo(last) if draw > 0.3 else last)


def _spoilt(chance: Chance, first: str, last: str) -> tuple[str | None, str | None]:
    """A name as forms and mail clients leave it: absent, empty, reversed, padded, marked up, or a formula."""
    spoilt: tuple[tuple[float, tuple[str | None, str | None]], ...] = (
        (0.05, (None, None)),
        (0.08, ("", "")),
        (0.11, (first, None)),
        (0.13, (f"{last}, {first}", None)),
        (0.15, (f"  {first}\u00a0", last)),
        (0.16, (f"{first} {chance.pick(EMOJI)}", last)),
        (0.17, (f"\u200b{first}", last)),
        (0.175, (f"<b>{first}</b>", "&amp; Co")),
        (0.18, ('=HYPERLINK("http://evil.example","x")', last)),
    )
    draw = chance.random.random()
    return next((name for below, name in spoilt if draw < below), (first, last))


def _addresses(chance: Chance, first: str, last: str, twin: str | None) -> list[str]:
    """None to four addresses; twin: another customer's address, which this one may have in another case."""
    count = 0 if chance.hits(0.06) else 1 if chance.hits(0.72) else chance.number(2, 4)
    found = []
    for _ in range(count):
        address, draw = chance.address(first, last), chance.random.random()
        local, _, domain = address.partition("@")
        variant: str | None = None
        if twin and chance.hits(0.15):
            twin_local, _, twin_domain = twin.partition("@")
            variant = f"{twin_local.capitalize()}@{twin_domain.upper()}"
        elif draw < 0.03:
            variant = f"{local.upper()}@{domain}"
        elif draw < 0.06:
            variant = f"{local}+tag@{domain}"
        elif draw < 0.07:
            variant = f"{address}."
        elif draw < 0.08:
            variant = address.replace("gmail.com", "gmial.com")
        found.append((variant and chance.unused(variant)) or address)
    return found


def _agent_address(chance: Chance, people: People) -> list[str]:
    """An agent who is also a customer, under the same address; each agent once."""
    address = chance.pick(people.agent_addresses)
    return [address] if chance.unused(f"customer {address}") else []


def _customer(
    tables: Tables,
    chance: Chance,
    people: People,
    name: tuple[str | None, str | None],
    company: str | None,
    phones: list[str],
    city: str | None,
) -> int:
    made = chance.time()
    changed = made + dt.timedelta(days=chance.number(0, 300))
    stored = _phones(chance, phones)
    if stored and stored[-1] not in "]}":
        people.mess["broken_phones"] += 1
    channel, channel_id = None, None
    if chance.hits(0.05):
        channel, channel_id = chance.number(10, 14), str(chance.number(10**8, 10**12))
        tables["customer_channel"].add(tables["customers"].last_id + 1, channel, channel_id[:64])
    return tables["customers"].add(
        *name, company, chance.one(None, "CEO", "développeur", ""), chance.one(None, 1, 2), stored,
        chance.one(None, None, "[]", '["http://example.org"]', '{"0":"http://a.example","2":"https://b.example/ä"}'),
        chance.one(None, None, '[{"value":"@x","type":1}]'),
        chance.one(None, None, "VIP\nsecond line", "note; with, separators\tand tab"),
        chance.one(None, "1 Main St\nSuite 5", "Straße 12"), city, chance.one(None, "CA", "Bayern"),
        chance.one(None, "00501", "SW1A 1AA", "80331"), chance.one(None, "DE", "US", "GB", "JP", ""),
        None if chance.hits(0.01) else stamp(made), None if chance.hits(0.01) else stamp(changed),
        channel, channel_id, chance.one(None, None, '{"x":"y"}'),
    )  # fmt: skip


def _phones(chance: Chance, numbers: list[str]) -> str | None:
    """The phones column as versions and accidents of years have left it."""
    draw = chance.random.random()
    if draw < 0.46:
        return None if draw < 0.34 else "" if draw < 0.40 else "[]"
    phones = [
        {"value": number, "type": chance.number(1, 6), "n": "".join(filter(str.isdigit, number))} for number in numbers
    ]
    if draw < 0.60:  # before 2022-12
        for phone in phones:
            del phone["n"]
    if draw < 0.66:  # PHP's unset() leaves an object where an array was
        return packed({str(place * 2): phone for place, phone in enumerate(phones)})
    if draw < 0.68:  # cut off
        return packed(phones)[:-3]
    return json.dumps(phones) if draw < 0.72 else packed(phones)
