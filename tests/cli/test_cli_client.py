"""What the client makes of answers, and of none."""

from __future__ import annotations

import socket

import pytest

from cli.access import Access
from cli.client import Client
from cli.failures import ApiError, Unreachable
from tests.cli.conftest import TOKEN, Api


class Naps(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def test_sends_the_token_and_decodes_the_answer(api: Api) -> None:
    api.on("GET /x", (200, {"data": 1}))
    assert api.client().get("/x", a=1, none=None, many=["p", "q"]) == {"data": 1}
    assert api.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert api.asked[0].path == "/x?a=1&many=p&many=q"


def test_reading_is_repeated_after_a_server_error(api: Api) -> None:
    naps = Naps()
    api.on("GET /x", (503, {"message": "later"}), (502, b"<html>"), (200, {}))
    assert api.client(sleep=naps).get("/x") == {}
    assert naps == [0.5, 1.0]


def test_reading_gives_up_in_the_end(api: Api) -> None:
    api.on("GET /x", (503, {"message": "Service temporarily unavailable"}))
    with pytest.raises(ApiError, match="Service temporarily unavailable"):
        api.client(sleep=Naps()).get("/x")
    assert len(api.asked) == 4


def test_writing_is_not_repeated_after_a_server_error(api: Api) -> None:
    """It may have been carried out."""
    api.on("POST /x", (500, {"message": "no"}))
    with pytest.raises(ApiError):
        api.client(sleep=Naps()).post("/x")
    assert len(api.asked) == 1


def test_a_rate_limit_is_waited_for_as_long_as_it_says(api: Api) -> None:
    naps = Naps()
    api.on("POST /x", (429, {"message": "slow down"}, {"Retry-After": "7"}), (201, {"ok": True}))
    assert api.client(sleep=naps).post("/x") == {"ok": True}
    assert naps == [7.0]


def test_a_rate_limit_of_an_hour_is_not_waited_for(api: Api) -> None:
    api.on("GET /x", (429, {"message": "slow down"}, {"Retry-After": "3600"}))
    with pytest.raises(ApiError) as caught:
        api.client(sleep=Naps()).get("/x")
    assert caught.value.status == 429


def test_a_refusal_carries_fields_code_and_request_id(api: Api) -> None:
    body = {"message": "Validation failed", "errors": {"port": ["The port must be an integer."]}, "code": "v"}
    api.on("POST /x", (422, body, {"X-Request-Id": "req-1"}))
    with pytest.raises(ApiError) as caught:
        api.client().post("/x", {"port": "a"})
    assert caught.value.errors == {"port": ["The port must be an integer."]}
    assert (caught.value.code, caught.value.request_id) == ("v", "req-1")


@pytest.mark.parametrize("body", [b"", b"<html>nginx</html>", b'["a"]', b"\xff"])
def test_an_answer_that_is_not_ours_becomes_a_sentence(api: Api, body: bytes) -> None:
    api.on("DELETE /x", (418, body))
    with pytest.raises(ApiError, match="The endpoint answered 418"):
        api.client().delete("/x")


def test_a_page_that_is_no_json_is_not_taken_for_an_answer(api: Api) -> None:
    api.on("GET /x", (200, b"<html>"))
    with pytest.raises(ApiError, match="something else than the Wharf API"):
        api.client().get("/x")


def test_a_redirect_is_not_followed_with_the_token(api: Api) -> None:
    api.on("GET /x", (302, b"", {"Location": api.url + "/elsewhere"}))
    with pytest.raises(ApiError):
        api.client().get("/x")
    assert [one.path for one in api.asked] == ["/x"]


def test_nothing_listening_is_said_at_once() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    naps = Naps()
    with pytest.raises(Unreachable, match="nothing answers there"):
        Client(Access(f"http://127.0.0.1:{port}", TOKEN, "test"), sleep=naps).get("/x")
    assert naps == []


def test_a_name_that_does_not_exist_is_said() -> None:
    with pytest.raises(Unreachable, match="name cannot be resolved"):
        Client(Access("http://nowhere.invalid", TOKEN, "test"), sleep=Naps()).get("/x")


def test_a_lost_connection_is_repeated_for_reading_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        import threading

        seen: list[int] = []

        def drop() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                seen.append(1)
                connection.recv(100)
                connection.close()

        threading.Thread(target=drop, daemon=True).start()
        client = Client(Access(f"http://127.0.0.1:{server.getsockname()[1]}", TOKEN, "test"), sleep=Naps())
        with pytest.raises(Unreachable, match="connection was lost"):
            client.post("/x")
        assert len(seen) == 1
        with pytest.raises(Unreachable, match="connection was lost"):
            client.get("/x")
        assert len(seen) == 5


def test_pages_by_number_end_with_the_total(api: Api) -> None:
    pages = [(200, {"data": [{"n": n}, {"n": n + 1}], "meta": {"total": 5}}) for n in (1, 3)]
    api.on("GET /x", *pages, (200, {"data": [{"n": 5}], "meta": {"total": 5}}))
    assert [item["n"] for item in api.client().pages("/x", per_page=2)] == [1, 2, 3, 4, 5]
    assert [one.path for one in api.asked] == ["/x?per_page=2", "/x?per_page=2&page=2", "/x?per_page=2&page=3"]


@pytest.mark.parametrize("place", ["top", "meta"])
def test_pages_by_cursor_end_without_one(api: Api, place: str) -> None:
    def answer(items: list[int], cursor: str | None) -> tuple[int, dict[str, object]]:
        body: dict[str, object] = {"data": items}
        return 200, body | ({"next_cursor": cursor} if place == "top" else {"meta": {"next_cursor": cursor}})

    api.on("GET /x", answer([1], "c1"), answer([], "c2"), answer([2], None))
    assert list(api.client().pages("/x")) == [1, 2]
    assert api.asked[1].path == "/x?per_page=100&cursor=c1"


def test_a_cursor_list_ends_with_its_cursor_though_the_total_grew(api: Api) -> None:
    first = (200, {"data": [2], "meta": {"total": 2}, "next_cursor": "c"})
    api.on("GET /x", first, (200, {"data": [1], "meta": {"total": 9}, "next_cursor": None}), (200, {"data": []}))
    assert list(api.client().pages("/x", per_page=1)) == [2, 1]
    api.on("GET /x", (200, {"data": [1], "meta": {"total": 9}, "next_cursor": None}))
    assert list(api.client().pages("/x", per_page=1)) == [1]
    assert len(api.asked) == 3


def test_pages_are_read_as_they_are_needed(api: Api) -> None:
    api.on("GET /x", (200, {"data": [1, 2], "next_cursor": "more"}))
    assert next(iter(api.client().pages("/x"))) == 1
    assert len(api.asked) == 1
