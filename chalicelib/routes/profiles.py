"""/api/import/profiles: connections, what they import, and starting it.

Refused in the words of the import API's reference; nothing in a body can say whose profile it is.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

from chalicelib import configured, connections, copies, fields, identities, network, profiles
from chalicelib.access import Caller
from chalicelib.idempotency import Minted
from chalicelib.messages import between, described, printable, sentence
from chalicelib.modes import ModeConfig
from chalicelib.pages import Page, paged
from chalicelib.preconditions import IfMatch
from chalicelib.problems import SOURCE
from chalicelib.requests import Body, Routes, invalid
from chalicelib.routes.answers import Message
from chalicelib.routes.answers import profiles as shapes

routes = Routes()


@described()
def _host(value: str) -> str:
    if not network.is_host(value):
        raise PydanticCustomError("format", "not a host")
    return value


@described(pattern=r"^[^\x00]*$")
def _without_nul(value: str) -> str:
    if "\0" in value:
        raise PydanticCustomError("format", "NUL")
    return value


_Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), AfterValidator(printable)
]
_Text = Annotated[str, StringConstraints(max_length=5000), AfterValidator(_without_nul)]
_SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class ConnectionBody(Body):
    """How to reach a database.

    database_type: the kinds of source there are. host: a DNS name or a public address, see network.py. database,
    username: PostgreSQL's names have 63 bytes, others' are longer; libpq reads them as C strings. password: 1,000
    characters stay within one KMS call. ssl_mode: libpq's; `prefer` as in libpq.
    """

    database_type: Literal["postgresql"]
    host: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), AfterValidator(_host)]
    port: Annotated[int, AfterValidator(between(1, 65535))]
    database: _Name
    username: _Name
    password: Annotated[str, StringConstraints(max_length=1000), AfterValidator(_without_nul)]
    ssl_mode: _SslMode = "prefer"


class ProfileBody(ConnectionBody):
    """A new profile. name: as people call it. description, notes: free text. mode_config: for jobs that bring none."""

    name: _Name
    description: _Text | None = None
    notes: _Text | None = None
    mode_config: ModeConfig | None = None


class ProfileChange(ProfileBody):
    """The same; an absent, null or empty password keeps the stored one, other absent optional fields theirs."""

    password: Annotated[str, StringConstraints(max_length=1000), AfterValidator(_without_nul)] | None = None  # type: ignore[assignment]  # wider


class CopyBody(Body):
    """How the copy is called, and what it is for: "<name> - Copy" and what the original says, unless said otherwise."""

    name: _Name | None = None
    description: _Text | None = None


class SourceBody(Body):
    """Whether another database has the data that was imported before. fingerprint: of the database that was asked
    about; when it is another one by now, nothing is decided.
    """

    decision: Literal["same_data", "new_source"]
    fingerprint: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None


class TemplateBody(Body):
    """Which template to take, and its options (see the template's own list)."""

    template_id: Annotated[str, StringConstraints(min_length=1, max_length=36)]
    options: dict[str, Any] = {}


@described(enum=list(profiles.CONNECTION_STATUSES))
def _status(value: str) -> str:
    if value not in profiles.CONNECTION_STATUSES:
        raise PydanticCustomError("one_of", "unknown", {"allowed": ", ".join(profiles.CONNECTION_STATUSES)})
    return value


class ProfilesQuery(Page):
    """database_type: only profiles of this kind. status: only those whose latest connection test ended so. search: only
    names that contain it, in any case.
    """

    database_type: Literal["postgresql"] | None = None
    status: Annotated[str, AfterValidator(_status)] | None = None
    search: Annotated[str, StringConstraints(strip_whitespace=True, max_length=255)] = ""


@routes.on("GET", "/api/import/profiles", permission="system.import", limit="profiles", answer=shapes.Profiles)
def list_profiles(caller: Caller, query: ProfilesQuery) -> dict[str, Any]:
    """The organisation's profiles, newest first."""
    wanted = query.search.casefold()
    found = [
        profile
        for profile in profiles.listing(caller.org)
        if query.database_type in (None, profile["database_type"])
        and query.status in (None, profiles.connection_status(profile))
        and wanted in profile["name"].casefold()
    ]
    return paged(found, query, place=profiles.place, show=profiles.show)


@routes.on(
    "POST",
    "/api/import/profiles",
    permission="system.import",
    limit="profiles",
    status=201,
    answer=shapes.ProfileSaved,
    idempotent=True,
)
def create_profile(caller: Caller, minted: Minted, body: ProfileBody) -> dict[str, Any]:
    """Saves a connection. It is not tried: that is what test-connection is for."""
    profile = profiles.create(caller.org, caller.who(), body.model_dump(), profile_id=minted.id)
    return {"message": "Import profile created successfully", "profile": profiles.show(profile)}


@routes.on(
    "GET",
    "/api/import/profiles/{profile_id}",
    permission="system.import",
    limit="profiles",
    versioned=True,
    answer=shapes.WholeProfile,
)
def show_profile(caller: Caller, profile_id: str) -> dict[str, Any]:
    """One profile, bare, with its configuration and latest jobs."""
    profile = profiles.get(caller.org, profile_id)
    return profiles.show_whole(profile) | {"source": identities.show(profile)}


@routes.on(
    "PUT", "/api/import/profiles/{profile_id}", permission="system.import", limit="profiles", answer=shapes.ProfileSaved
)
def update_profile(caller: Caller, profile_id: str, if_match: IfMatch, body: ProfileChange) -> dict[str, Any]:
    """Changes the profile; a job that runs on it keeps what it started with."""
    profile = profiles.update(caller.org, profile_id, caller.who(), _changes(body), if_match)
    return {"message": "Import profile updated successfully", "profile": profiles.show(profile)}


def _changes(body: ProfileChange) -> dict[str, Any]:
    """What was sent; a mode is said whole, whatever its defaults become."""
    mode = {"mode_config": body.mode_config.model_dump()} if body.mode_config else {}
    return body.model_dump(exclude_unset=True) | mode


@routes.on(
    "DELETE",
    "/api/import/profiles/{profile_id}",
    permission="system.import",
    limit="profiles",
    answer=Message,
    refuses=("profile_in_use",),
)
def delete_profile(caller: Caller, profile_id: str, if_match: IfMatch) -> dict[str, Any]:
    """Removes the profile, unless a job runs on it. What was imported stays."""
    profiles.delete(caller.org, profile_id, caller.who(), if_match)
    return {"message": "Import profile deleted successfully"}


@routes.on(
    "POST",
    "/api/import/profiles/test-connection",
    permission="system.import",
    limit="connections",
    answer=shapes.ConnectionTested,
)
def test_new_connection(caller: Caller, body: ConnectionBody) -> dict[str, Any]:  # noqa: ARG001 -- nothing is stored
    """Tries a connection that is not saved; a failure is an answer, not an error."""
    return {"connection_test": connections.check(connections.typed(body.model_dump()))}


@routes.on(
    "POST",
    "/api/import/profiles/{profile_id}/test-connection",
    permission="system.import",
    limit="connections",
    answer=shapes.ConnectionTested,
    refuses=("secret_unusable",),
)
def test_connection(caller: Caller, profile_id: str) -> dict[str, Any]:
    """Tries the profile's connection and keeps the result on the profile."""
    profile = profiles.get(caller.org, profile_id)
    result = connections.check(connections.of(profile))
    profiles.note_test(profile, result)
    return {"connection_test": result}


@routes.on(
    "GET",
    "/api/import/profiles/{profile_id}/schema",
    permission="system.import",
    limit="profiles",
    answer=shapes.SchemaRead,
    refuses=SOURCE,
)
def show_schema(caller: Caller, profile_id: str) -> dict[str, Any]:
    """The source's tables, columns and relationships, read now."""
    described = connections.schema(profiles.get(caller.org, profile_id))
    server_info = described.pop("server_info")
    return {"schema": described, "server_info": server_info}


@routes.on(
    "PUT",
    "/api/import/profiles/{profile_id}/template",
    permission="system.import",
    limit="templates",
    answer=shapes.TemplateApplied,
)
def apply_template(caller: Caller, profile_id: str, if_match: IfMatch, body: TemplateBody) -> dict[str, Any]:
    """Takes a template and its options as the profile's configuration."""
    from chalicelib import own_templates, templates

    profiles.get(caller.org, profile_id)
    wanted = body.template_id.lower()
    system = next((found for found in templates.all() if wanted == found.ID), None)
    own = None if system else own_templates.find(caller.org, wanted)
    if system is None and own is None:
        raise invalid({"template_id": [sentence("selected", "template_id")]})
    options = fields.check(system.OPTIONS if system else own_templates.options(own or {}), body.options)
    copy = own_templates.copied(own) if own else None
    profile = profiles.apply_template(caller.org, profile_id, caller.who(), wanted, options, copy, if_match)
    shown = profiles.show(profile) | {"configuration": configured.shown(profile)}
    return {"message": "Template applied successfully", "profile": shown}


@routes.on(
    "POST",
    "/api/import/profiles/{profile_id}/duplicate",
    permission="system.import",
    limit="profiles",
    status=201,
    idempotent=True,
    answer=shapes.ProfileDuplicated,
    refuses=("secret_unusable",),
)
def duplicate_profile(
    caller: Caller, minted: Minted, profile_id: str, if_match: IfMatch, body: CopyBody
) -> dict[str, Any]:
    """Makes another profile like this one, with a past of its own."""
    sent = body.model_dump(exclude_unset=True)
    original, copy = copies.make(caller.org, profile_id, caller.who(), sent, if_match, copy_id=minted.id)
    return {
        "message": "Import profile duplicated successfully",
        "original_profile": {"id": original["id"], "name": original["name"]},
        "duplicate_profile": copies.show(copy),
    }


@routes.on(
    "POST",
    "/api/import/profiles/{profile_id}/source",
    permission="system.import",
    limit="connections",
    answer=shapes.SourceDecided,
    refuses=(*SOURCE, "no_source", "source_changed"),
)
def decide_source(caller: Caller, profile_id: str, body: SourceBody) -> dict[str, Any]:
    """Says whether the database the profile leads to now is the one it imported before, or another source."""
    profile = identities.decide(caller.org, profile_id, caller.who(), body.decision, body.fingerprint)
    return {
        "message": "Import source confirmed successfully",
        "source": identities.show(profile),
        "profile": profiles.show(profile),
    }
