"""Keys of tills: always the same, one for each terminal, none stored."""

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ids import new_id
from shared.secrets import Secrets
from shared.terminal_keys import TerminalKeys, new_key_id, terminal_of


def test_a_secret_is_derived_again_by_every_process() -> None:
    secrets = Secrets(os.urandom(32))
    key_id = new_key_id(new_id(7))
    assert TerminalKeys(secrets).secret(key_id) == TerminalKeys(secrets).secret(key_id)
    assert len(TerminalKeys(secrets).secret(key_id)) == 32


def test_terminals_and_deployments_have_secrets_of_their_own() -> None:
    key_ids = [new_key_id(new_id(city_id)) for city_id in (1, 1, 2)]
    deployments = [Secrets(os.urandom(32)), Secrets(os.urandom(32))]
    found = {TerminalKeys(secrets).secret(key_id) for secrets in deployments for key_id in key_ids}
    assert len(found) == 6
    assert not found & {secrets.derive("terminal-key:1") for secrets in deployments}


def test_the_text_of_a_secret_is_base64url_without_padding() -> None:
    keys = TerminalKeys(Secrets(b"k" * 32))
    key_id = new_key_id(new_id(7))
    text = keys.text(key_id)
    assert len(text) == 43
    assert base64.urlsafe_b64decode(text + "=") == keys.secret(key_id)


@given(st.integers(1, 4095))
def test_a_key_id_names_its_terminal(city_id: int) -> None:
    terminal_id = new_id(city_id)
    assert terminal_of(new_key_id(terminal_id)) == terminal_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".1",
        "0190a000-0000-7001-8000-00000000000a",
        "0190a000-0000-7001-8000-00000000000a.",
        "0190a000-0000-7001-8000-00000000000a.2",
        "0190a000-0000-7001-8000-00000000000a.01",
        "0190a000-0000-7001-8000-00000000000a.1 ",
        "0190a000-0000-7001-8000-00000000000a,1",
        "0190A000-0000-7001-8000-00000000000A.1",
        "0190a000-0000-4001-8000-00000000000a.1",
        "0190a000-0000-7000-8000-00000000000a.1",
        "{0190a000-0000-7001-8000-0000000000}.1",
        "0190a000000070018000000000000000a123.1",
    ],
)
def test_only_the_one_spelling_of_a_key_id_names_a_terminal(text: str) -> None:
    assert terminal_of(text) is None


@given(st.text(max_size=40) | st.text(min_size=36, max_size=36).map(lambda text: text + ".1"))
def test_no_text_disturbs_the_reader(text: str) -> None:
    assert terminal_of(text) is None
