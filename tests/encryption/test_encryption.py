import base64

import pytest

from chalicelib import encryption
from chalicelib.errors import Fatal

pytestmark = pytest.mark.usefixtures("cloud")

SECRET = "s3cret ☃ pässword"


def test_a_secret_comes_back_for_its_owner() -> None:
    sealed = encryption.encrypt(SECRET, org="o1", owner="p1")
    assert encryption.decrypt(sealed, org="o1", owner="p1") == SECRET


def test_the_ciphertext_shows_nothing_of_the_secret() -> None:
    sealed = encryption.encrypt(SECRET, org="o1", owner="p1")
    assert SECRET.encode() not in base64.b64decode(sealed)


@pytest.mark.parametrize(("org", "owner"), [("o2", "p1"), ("o1", "p2"), ("p1", "o1")])
def test_a_ciphertext_copied_to_another_tenant_or_profile_is_useless(org: str, owner: str) -> None:
    sealed = encryption.encrypt(SECRET, org="o1", owner="p1")
    with pytest.raises(Fatal) as lost:
        encryption.decrypt(sealed, org=org, owner=owner)
    assert lost.value.code == "secret_unusable"
    assert SECRET not in str(lost.value)


def test_a_damaged_ciphertext_stops_the_job_instead_of_being_tried_again() -> None:
    with pytest.raises(Fatal):
        encryption.decrypt(base64.b64encode(b"no ciphertext of ours, but long enough").decode(), org="o1", owner="p1")
