"""What /api/import/profiles answers."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from chalicelib.routes.answers import Listed, Person


class DatabaseInfo(TypedDict):
    """What the server says of itself. size: as PostgreSQL writes it, "250 MB"."""

    version: str
    database: str
    table_count: int
    size: str


class ConnectionTest(TypedDict):
    """How a connection test ended. database_info: of one that succeeded. error: the short cause of one that failed."""

    success: bool
    message: str
    database_info: NotRequired[DatabaseInfo]
    error: NotRequired[str]


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
    test; null when there was none.
    """

    id: str
    name: str
    database_type: Literal["postgresql"]
    host: str
    port: int
    database: str
    username: str
    ssl_mode: str
    description: str | None
    notes: str | None
    created_by: Person
    last_tested_at: str | None
    template_id: str | None
    template: TemplateTaken | None
    has_custom_queries: bool
    last_test_result: ConnectionTest | None
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
    base_table: NotRequired[Any]
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
    """A profile with its configuration. template_options: as they were chosen. import_jobs: its latest ten."""

    template_options: dict[str, Any]
    configuration: Configuration
    import_jobs: list[LatestJob]


class ConfiguredProfile(Profile):
    """A profile with what it imports."""

    configuration: Configuration


class TemplateApplied(TypedDict):
    """The profile with what it imports now."""

    message: str
    profile: ConfiguredProfile


class Column(TypedDict):
    """A column. type: as PostgreSQL writes it. base_type: what its domain stands on. enum: what it may be, in order.
    What does not hold is left out.
    """

    name: str
    type: str
    nullable: bool
    primary_key: NotRequired[bool]
    base_type: NotRequired[str]
    enum: NotRequired[list[str]]
    generated: NotRequired[bool]
    identity: NotRequired[bool]
    comment: NotRequired[str]


class Table(TypedDict):
    """A table, view or foreign table. schema: where it is not found by its name alone; namespace: always. row_count: by
    statistics. primary_key, unique_keys: columns in order. indexed: columns an index begins with. inherited: other
    tables' rows are read with it. readable: false when the user may read none of it.
    """

    name: str
    schema: NotRequired[str]
    row_count: int
    columns: list[Column]
    namespace: str
    kind: Literal["table", "view", "materialized view", "partitioned table", "foreign table"]
    primary_key: list[str]
    unique_keys: list[list[str]]
    indexed: list[str]
    inherited: NotRequired[bool]
    readable: NotRequired[bool]
    comment: NotRequired[str]


class Relationship(TypedDict):
    """A foreign key's column and the one it refers to. constraint: of a key of several columns, which are then as many
    relationships in order. schema, referenced_schema: as the tables have them.
    """

    table: str
    column: str
    referenced_table: str
    referenced_column: str
    schema: NotRequired[str]
    referenced_schema: NotRequired[str]
    constraint: NotRequired[str]


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
