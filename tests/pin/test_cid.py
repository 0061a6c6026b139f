"""CIDs: the same bytes and text as an independent implementation, and one spelling for each."""

from __future__ import annotations

import hashlib

import multiformats
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.cid import CID, DAG_PB, IDENTITY, MAX_DIGEST, RAW, read_varint, varint
from pipeline.base.errors import BadArgument

digests = st.binary(min_size=32, max_size=32)
codecs = st.sampled_from([RAW, DAG_PB, 0x71, 0x0129])
cids = st.one_of(
    st.builds(CID, st.just(1), codecs, digests),
    st.builds(CID, st.just(0), st.just(DAG_PB), digests),
    st.builds(CID, st.just(1), st.just(RAW), st.binary(max_size=MAX_DIGEST), st.just(IDENTITY)),
)


def theirs(cid: CID) -> multiformats.CID:
    base = "base58btc" if cid.version == 0 else "base32"
    function = "identity" if cid.hash == IDENTITY else "sha2-256"
    multihash = multiformats.multihash.wrap(cid.digest, function)
    return multiformats.CID(base, cid.version, cid.codec, multihash)


@given(cids)
def test_bytes_and_text_are_those_of_multiformats(cid: CID) -> None:
    assert cid.bytes == bytes(theirs(cid))
    assert str(cid) == str(theirs(cid))


@given(cids)
def test_bytes_and_text_lead_back_to_the_cid(cid: CID) -> None:
    assert CID.decode(cid.bytes) == cid
    assert CID.parse(str(cid)) == cid
    assert CID.read(b"xy" + cid.bytes + b"z", 2) == (cid, 2 + len(cid.bytes))


@given(cids.filter(lambda cid: cid.version == 1))
def test_base58_of_version_1_is_read(cid: CID) -> None:
    assert CID.parse(theirs(cid).set(base="base58btc").encode()) == cid


def test_a_raw_cid_names_the_sha256_of_the_data() -> None:
    cid = CID.raw(b"hello world")
    assert str(cid) == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    assert cid.digest == hashlib.sha256(b"hello world").digest()
    assert cid.matches(b"hello world")
    assert not cid.matches(b"hello worlD")
    assert cid.codec_name == "raw"


@given(st.text(max_size=70))
def test_any_text_is_a_cid_or_a_bad_argument(text: str) -> None:
    try:
        cid = CID.parse(text)
    except BadArgument:
        return
    assert CID.parse(str(cid)) == cid


GOOD = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        "z",
        "Qm",
        GOOD.upper(),
        GOOD[:-1],
        GOOD + "a",
        GOOD[:-1] + "f",  # the last character carries two bits too many
        GOOD + "=",
        " " + GOOD,
        "ipfs://" + GOOD,
        "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyf0",  # 0 is not base58
        "zQmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD",
        "bafyrei" + "a" * 300,
        "b" + "İ" * 10,
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(BadArgument):
        CID.parse(text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x12\x20" + bytes(31),
        b"\x02\x55\x12\x20" + bytes(32),  # version 2
        b"\x01\x55\x13\x40" + bytes(64),  # sha2-512
        b"\x01\x55\x12\x21" + bytes(33),
        b"\x01\x55\x12\xa0\x00" + bytes(32),  # padded length
        b"\x01\x55\x00\x81\x01" + bytes(129),  # identity of 129 bytes
        b"\x01\x55\x12\x20" + bytes(33),
        b"\x81" * 12,
    ],
)
def test_bytes_that_are_no_cid_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        CID.decode(data)


@given(st.integers(0, 2**63 - 1))
def test_varints_are_those_of_multiformats(number: int) -> None:
    data = varint(number)
    assert data == multiformats.varint.encode(number)
    assert read_varint(data, 0) == (number, len(data))


def test_cids_sort_hash_and_compare_by_value() -> None:
    one, two = CID.raw(b"1"), CID.raw(b"2")
    assert {one, CID.raw(b"1")} == {one}
    assert sorted([two, one]) == sorted([one, two])
    assert CID(0, DAG_PB, one.digest) != CID.dag_pb(one.digest)
