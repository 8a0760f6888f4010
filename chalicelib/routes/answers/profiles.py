"""What /api/import/profiles answers."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from chalicelib.catalogue import Relationship, Table
from chalicelib.problems import Source
from chalicelib.routes.answers import Listed, Person


class DatabaseInfo(TypedDict):
    """What the server says of itself. size: as PostgreSQL writes it, "250 MB"."""

    version: str
    database: str
    table_count: int
    size: str


class ConnectionStage(TypedDict):
    """One step of the way to the tables. milliseconds: until the next one began, null when it was not come to.
    hint: what a person can do about a failure.
    """

    name: Literal["dns", "tcp", "tls", "auth", "select", "privileges"]
    status: Literal["ok", "failed", "skipped"]
    message: str
    hint: str | None
    milliseconds: int | None


class ConnectionWarning(TypedDict):
    """What works and should not stay so."""

    code: str
    message: str
    hint: str


class ConnectionTest(TypedDict):
    """How a connection test ended. database_info: of one that succeeded. error: the short cause of one that failed.
    stages, warnings: how far it came, and what to change; a test kept since before there were any has none.
    """

    success: bool
    message: str
    database_info: NotRequired[DatabaseInfo]
    error: NotRequired[str]
    stages: NotRequired[list[ConnectionStage]]
    warnings: NotRequired[list[ConnectionWarning]]


class ConnectionTested(TypedDict):
    """A connection test; a failure is an answer, not an error."""

    connection_test: ConnectionTest


class TemplateTaken(TypedDict):
    """The template a profile imports by."""

    id: str
    name: str
    platform: str


class Profile(TypedDict):
    """A profile as lists show it; its password is never shown. template: null as long as none was taken.
    has_custom_queries: whether queries were saved for it. last_tested_at, last_test_result: of the latest connection
    test; null when there was none. mode_config: for jobs that bring none. version: rises with every change.
    """

    id: str
    name: str
    database_type: str
    host: str
    port: int
    database: str
    username: str
    ssl_mode: str
    description: str | None
    notes: str | None
    mode_config: dict[str, Any] | None
    sync_enabled: bool
    last_sync_at: str | None
    sync_stats: dict[str, Any] | None
    created_by: Person
    last_tested_at: str | None
    template_id: str | None
    template: TemplateTaken | None
    has_custom_queries: bool
    last_test_result: ConnectionTest | None
    version: int
    created_at: str
    updated_at: str


class Profiles(Listed):
    """A page of profiles, newest first."""

    data: list[Profile]


class ProfileSaved(TypedDict):
    """The profile as it is now."""

    message: str
    profile: Profile


class Configuration(TypedDict):
    """What a profile imports. queries: record type to query. The others are those of the first saved query."""

    queries: dict[str, dict[str, Any]]
    name: NotRequired[str | None]
    base_table: NotRequired[Any]
    key: NotRequired[str | list[str] | None]
    joins: NotRequired[list[dict[str, Any]]]
    fields: NotRequired[list[dict[str, Any]]]
    filters: NotRequired[list[dict[str, Any]]]
    target_type: NotRequired[str]


class LatestJob(TypedDict):
    """One of a profile's latest jobs."""

    id: str
    status: Literal["running", "completed", "failed", "cancelled"]
    records_imported: int
    started_at: str | None


class WholeProfile(Profile):
    """A profile with its configuration. template_options: as they were chosen. import_jobs: its latest ten. source:
    null before the first import.
    """

    template_options: dict[str, Any]
    configuration: Configuration
    import_jobs: list[LatestJob]
    source: Source | None


class SourceDecided(TypedDict):
    """The source as it is now."""

    message: str
    source: Source | None
    profile: Profile


class Named(TypedDict):
    """Which profile."""

    id: str
    name: str


class Copy(TypedDict):
    """The new profile. configuration: that of the original."""

    id: str
    name: str
    description: str | None
    created_at: str
    configuration: Configuration
    sync_enabled: bool
    last_sync_at: str | None
    sync_stats: dict[str, Any] | None


class ProfileDuplicated(TypedDict):
    """The profile that was copied, and the copy."""

    message: str
    original_profile: Named
    duplicate_profile: Copy


class ConfiguredProfile(Profile):
    """A profile with what it imports."""

    configuration: Configuration


class TemplateApplied(TypedDict):
    """The profile with what it imports now."""

    message: str
    profile: ConfiguredProfile


class Schema(TypedDict):
    """What the database has."""

    tables: list[Table]
    relationships: list[Relationship]


class ServerInfo(TypedDict):
    """What the server says of itself and its database."""

    version: str
    encoding: str
    collation: str


class SchemaRead(TypedDict):
    """The source's tables, columns and relationships, read just now."""

    schema: Schema
    server_info: ServerInfo
