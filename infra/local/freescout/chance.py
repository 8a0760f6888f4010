"""What the generator draws from: one seeded stream of chance, and pools of names, words, phones and times.

No NUL is ever produced: PostgreSQL could not store it. Everything else that mailboxes hold is.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import unicodedata
from typing import Any, TypeVar

from faker import Faker

T = TypeVar("T")

NOW = dt.datetime(2026, 8, 15, 12, 0, 0)  # noqa: DTZ001 -- FreeScout writes times without a zone

LOCALES = (
    "en_US", "en_GB", "de_DE", "fr_FR", "es_MX", "pl_PL", "tr_TR", "ru_RU", "el_GR", "ja_JP", "zh_CN", "ko_KR",
    "ar_AA", "he_IL", "fa_IR", "hi_IN", "th_TH", "vi_VN",
)  # fmt: skip
ZONES = (
    "UTC", "Europe/London", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
    "America/St_Johns", "Pacific/Apia", "Asia/Tehran", "Etc/GMT-3", "Europe/Kiev", "US/Pacific",
)  # fmt: skip
DOMAINS = (
    "gmail.com", "googlemail.com", "outlook.com", "yahoo.co.uk", "example.org", "example.com", "mail.example.net",
    "xn--mnchen-3ya.example", "sub.dept.corp.example", "qq.example", "icloud.example",
)  # fmt: skip
COMPANIES = (
    "Acme", "Globex", "Initech", "Umbrella", "Stark & Sons", "Wayne Ent", "Hooli", "Vandelay Industries",
    "Müller Söhne", "株式会社サンプル", "شركة المثال", 'O\'Reilly "Quotes" Co', "Soylent", "Cyberdyne", "Tyrell",
    "Oscorp",
)  # fmt: skip
LEGAL_FORMS = (
    "", " Inc", ", Inc.", " INC", " Ltd", " Ltd.", " Limited", " GmbH", " GmbH & Co. KG", " LLC", " S.A.", " ",
)  # fmt: skip
WORDS = (
    "invoice", "refund", "printer", "login", "password", "order", "shipment", "broken", "urgent", "thanks", "please",
    "account", "cannot", "error", "update", "subscription", "payment", "attachment", "meeting", "server", "slow",
    "crash", "export", "import", "report", "customer", "deadline", "contract",
)  # fmt: skip
EMOJI = ("🔥", "😡", "🙏", "👨‍👩‍👧‍👦", "🏳️‍🌈", "✅", "💶", "👍🏽")
SCRIPTS = (
    "مرحبا، لدي مشكلة في الدفع", "שלום, אני צריך עזרה", "\u202eevil\u202c.txt", "日本語の件名です", "Ошибка при входе",
)  # fmt: skip


class Chance:
    """A stream of chance: the same seed draws the same database, for one version of Faker."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.taken: set[str] = set()
        self.names: list[tuple[str, str]] = []
        for index, locale in enumerate(LOCALES):
            faker = Faker(locale)
            faker.seed_instance(seed * 1000 + index)
            count = 220 if locale.startswith("en") else 45
            self.names += [(faker.first_name(), faker.last_name()) for _ in range(count)]
        self.sentences = [self._sentence() for _ in range(700)] + list(SCRIPTS) * 6

    def one(self, *choices: T) -> T:
        """One of the choices."""
        return self.random.choice(choices)

    def pick(self, choices: list[T] | tuple[T, ...]) -> T:
        """One of a sequence."""
        return self.random.choice(choices)

    def number(self, low: int, high: int) -> int:
        """low..high, both included."""
        return self.random.randint(low, high)

    def hits(self, probability: float) -> bool:
        """Whether something of that probability happens."""
        return self.random.random() < probability

    def weighted(self, choices: dict[T, int]) -> T:
        """One of the keys, as often as its value says."""
        return self.random.choices(list(choices), list(choices.values()))[0]

    def time(self) -> dt.datetime:
        """A moment something was made: mostly the last years, some imported history, a few broken clocks."""
        draw = self.random.random()
        if draw < 0.003:
            return dt.datetime(1970, 1, 1)  # noqa: DTZ001 -- likewise
        if draw < 0.006:
            return dt.datetime(2099, 12, 31, 23, 59, 59)  # noqa: DTZ001 -- likewise
        if draw < 0.05:
            return dt.datetime(2009, 1, 1) + dt.timedelta(seconds=self.number(0, 150_000_000))  # noqa: DTZ001 -- likewise
        return NOW - dt.timedelta(seconds=int(self.random.expovariate(1 / 4e7)) % 250_000_000)

    def address(self, first: str, last: str, domain: str | None = None) -> str:
        """An e-mail address nobody has yet."""
        plain = unicodedata.normalize("NFKD", f"{first}.{last}").encode("ascii", "ignore").decode().lower()
        local = "".join(letter for letter in plain if letter.isalnum() or letter == ".").strip(".") or "user"
        for _ in range(50):
            suffix = str(self.number(1, 99_999)) if self.hits(0.8) else ""
            found = self.unused(f"{local}{suffix}@{domain or self.pick(DOMAINS)}")
            if found:
                return found
        return self.unused(f"{local}.{len(self.taken)}@example.org") or ""

    def unused(self, address: str) -> str | None:
        """The address, now taken, or None if it was. At most 191 characters, the column's width."""
        address = address[:191]
        if address in self.taken:
            return None
        self.taken.add(address)
        return address

    def phone(self) -> str:
        """A phone number as people write it."""
        digits = "".join(self.pick("0123456789") for _ in range(9))  # type: ignore[arg-type]  # a text is a sequence too
        return self.one(
            f"+1 ({digits[:3]}) {digits[3:6]}-{digits[6:]}1",
            f"0{digits}",
            f"+44 20 {digits[:4]} {digits[4:8]}",
            f"{digits[:3]}-{digits[3:6]}-{digits[6:]}",
            f"00{self.number(20, 99)}{digits}",
            f"tel: {digits} ext. {self.number(1, 99)}",
            "n/a",
            digits,
        )

    def typo(self, text: str) -> str:
        """The text as someone else would type it."""
        if len(text) < 3:
            return text
        place, draw = self.number(0, len(text) - 2), self.random.random()
        if draw < 0.3:
            return text[:place] + text[place + 1] + text[place] + text[place + 2 :]
        if draw < 0.55:
            return text[:place] + text[place + 1 :]
        if draw < 0.75:
            return text[:place] + text[place] + text[place:]
        if draw < 0.85:
            return text.upper()
        decomposed = unicodedata.normalize("NFKD", text)
        if draw < 0.93:
            return "".join(letter for letter in decomposed if not unicodedata.combining(letter)) or text
        return unicodedata.normalize("NFD", text)  # looks the same, other code points

    def _sentence(self) -> str:
        words = " ".join(self.pick(WORDS) for _ in range(self.number(6, 18)))
        return words.capitalize() + self.one(".", "!", "?", "...", f" {self.pick(EMOJI)}")


def stamp(moment: dt.datetime | None) -> str | None:
    """A time as COPY takes it."""
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment else None


def packed(value: Any) -> str:
    """JSON as PHP writes it with unescaped Unicode."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
