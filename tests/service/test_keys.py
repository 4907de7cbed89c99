"""Keys on disk: limits, turns, and what is checked.  No Concrete."""

import os
import stat

import pytest

from qnnprune.export.fhe._messages import EVALUATION_KEYS, REQUEST, digest, seal
from qnnprune.service._keys import KeyStore, checked_keys
from qnnprune.service._problems import Problem

_PARAMETERS = "ab" * 32


def _message(body=b"keys", kind=EVALUATION_KEYS, keys_id=None):
    return seal(kind, _PARAMETERS, keys_id or digest(body), body)


def _add(store, owner, name, size=100):
    keys_id = digest(name.encode())
    store.make_room(owner, keys_id, size)
    path = store.unfinished(owner)
    path.write_bytes(bytes(size))
    store.add(owner, keys_id, path, _PARAMETERS)
    return keys_id


def _has(store, owner, keys_id):
    try:
        return store.use(owner, keys_id).parameters_id == _PARAMETERS
    except Problem as problem:
        assert (problem.status, problem.code) == (409, "unknown_keys")
        return False


def test_keys_are_their_owners_alone(tmp_path):
    store = KeyStore(tmp_path / "keys", 1000, 4)
    keys_id = _add(store, "ann", "a")
    assert _has(store, "ann", keys_id) and not _has(store, "bob", keys_id)
    with pytest.raises(Problem):
        store.remove("bob", keys_id)
    store.remove("ann", keys_id)
    assert not _has(store, "ann", keys_id) and not list(tmp_path.glob("keys/*/*"))
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_the_least_recently_used_go_first(tmp_path):
    store = KeyStore(tmp_path, 300, 4)
    first, second, third = (_add(store, name, name) for name in "abc")
    assert _has(store, "a", first)  # which is a use
    fourth = _add(store, "d", "d")
    kept = [_has(store, *each) for each in zip("abcd", (first, second, third, fourth), strict=True)]
    assert kept == [True, False, True, True] and store.n_bytes == 300


def test_an_owner_with_many_keys_costs_nobody_else_theirs(tmp_path):
    store = KeyStore(tmp_path, 10_000, 2)
    other = _add(store, "bob", "x")
    own = [_add(store, "ann", name) for name in "abc"]
    assert [_has(store, "ann", each) for each in own] == [False, True, True]
    assert _has(store, "bob", other)


def test_keys_in_use_stay(tmp_path):
    store = KeyStore(tmp_path, 200, 4)
    first, second = (_add(store, "ann", name) for name in "ab")
    store.in_use.update([("ann", first), ("ann", second)])
    with pytest.raises(Problem, match="in use by rows that wait") as refused:
        store.make_room("bob", digest(b"c"), 100)
    assert refused.value.status == 507
    with pytest.raises(Problem, match="cancel them first"):
        store.remove("ann", first)
    store.in_use["ann", second] -= 1
    _add(store, "bob", "c")
    assert _has(store, "ann", first) and not _has(store, "ann", second)


def test_a_new_store_finds_what_the_old_one_kept(tmp_path):
    store = KeyStore(tmp_path, 1000, 4)
    ids = [_add(store, "ann", name) for name in "abc"]
    for age, each in zip((1, 3, 2), ids, strict=True):
        os.utime(store.use("ann", each).path, (1000 - age,) * 2)
    store.unfinished("ann").write_bytes(b"half")
    again = KeyStore(tmp_path, 300, 4)
    assert again.n_bytes == 300 and len(list(tmp_path.glob("*/*"))) == 3
    _add(again, "bob", "d")
    assert [_has(again, "ann", each) for each in ids] == [True, False, True]


def test_what_is_sent_is_checked(tmp_path):
    path, keys_id = tmp_path / "keys", digest(b"keys")
    path.write_bytes(_message())
    assert checked_keys(path, keys_id) == _PARAMETERS
    for data, wanted in (
        (_message(), digest(b"others")),
        (_message(keys_id=digest(b"others")), digest(b"others")),
        (_message(kind=REQUEST), keys_id),
        (_message()[:-1], keys_id),
        (b"", keys_id),
        (b"garbage" * 100, keys_id),
    ):
        path.write_bytes(data)
        with pytest.raises(Problem) as refused:
            checked_keys(path, wanted)
        assert (refused.value.status, refused.value.code) == (400, "damaged_keys")
