"""Signed credentials: what stands in a file, who is believed, and tokens whose files say what they are."""

from __future__ import annotations

import datetime as dt
import io
import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Pipeline
from PIL import Image

from pipeline.base.errors import BadArgument, KeyRefused
from pipeline.mark import certificate
from pipeline.mark.certificate import Identity, import_certificate, read_certificate, write_certificate
from pipeline.mark.credential import Claims, is_signed, read, sign, unsigned

PASSWORD = "a password"
CLAIMS = Claims(
    title="Town #7",
    chain_id=31337,
    contract="0x5FbDB2315678afecb367f032d93F642f64180aa3",
    token_id=7,
    seed=8629932815222832,
    renderer="compose-1/flat/cpu",
    weights_sha256="ab" * 32,
    made="algorithmicMedia",
)
MINT = ("mint", "--count", "3", "--batch", "2", "--size", "32", "--seed", "7", "--certificate", "certificate.pem")
SIGNER = {"PIPELINE_CERTIFICATE_PASSWORD": PASSWORD}


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    path = tmp_path_factory.mktemp("signer") / "certificate.pem"
    write_certificate(path, "Zoë Ħ.", PASSWORD)
    return read_certificate(path, PASSWORD)


@pytest.fixture(scope="module")
def png() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, "PNG")
    return file.getvalue()


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_signed_file_says_what_it_is_and_holds_the_same_picture(identity: Identity, png: bytes) -> None:
    signed = sign(png, CLAIMS, identity)
    found = read(signed)
    assert found is not None and found.is_sound and found.issuer == "Zoë Ħ." and found.claims == CLAIMS
    assert Image.open(io.BytesIO(signed)).tobytes() == Image.open(io.BytesIO(png)).tobytes()
    assert unsigned(signed) == png and len(signed) - len(png) < 5000  # and no thumbnail
    assert b"digitalsourcetype/algorithmicMedia" in signed[:1000]  # for readers that know no credentials


def test_a_file_is_signed_anew_not_twice(identity: Identity, png: bytes) -> None:
    again = sign(sign(png, CLAIMS, identity), replace(CLAIMS, token_id=8), identity)
    found = read(again)
    assert found is not None and found.claims == replace(CLAIMS, token_id=8)
    assert again.count(b"caBX") == 1 and unsigned(again) == png


def test_one_changed_byte_breaks_a_credential(identity: Identity, png: bytes) -> None:
    signed = bytearray(sign(png, CLAIMS, identity))
    signed[-40] ^= 1
    found = read(bytes(signed))
    assert found is not None and not found.is_sound and "dataHash" in found.reason


def test_a_file_that_was_saved_anew_has_no_credential(identity: Identity, png: bytes) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(sign(png, CLAIMS, identity))).save(file, "JPEG")
    assert read(file.getvalue(), "image/jpeg") is None


def test_broken_credentials_are_none(identity: Identity, png: bytes) -> None:
    signed = sign(png, CLAIMS, identity)
    at = signed.index(b"caBX") + 200
    broken = signed[:at] + bytes(64) + signed[at + 64 :]
    found = read(broken)
    assert is_signed(broken) and (found is None or not found.is_sound)
    for cut in (0, 8, 40, len(signed) // 2):
        assert read(signed[:cut]) is None or not read(signed[:cut]).is_sound  # type: ignore[union-attr]


# ── certificates ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_certificate_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "certificate.pem"
    write_certificate(path, "Studio", PASSWORD)
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert "ENCRYPTED PRIVATE KEY" in text and text.count("BEGIN") == 3
    with pytest.raises(KeyRefused, match="there already"):
        write_certificate(path, "Studio", PASSWORD)
    with pytest.raises(KeyRefused, match="wrong password"):
        read_certificate(path, "another password")
    path.chmod(0o644)
    with pytest.raises(KeyRefused, match="others can read it"):
        read_certificate(path, PASSWORD)


@pytest.mark.parametrize("subject", ["", " ", "x" * 65, "a\nb"])
def test_a_certificate_needs_a_name(tmp_path: Path, subject: str) -> None:
    with pytest.raises(BadArgument, match="subject"):
        write_certificate(tmp_path / "certificate.pem", subject, PASSWORD)


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "certificate.pem"
    write_certificate(path, "Studio", PASSWORD, years=0)
    with pytest.raises(KeyRefused, match="is valid until"):
        read_certificate(path, PASSWORD)


def test_a_certificate_from_elsewhere_is_imported(tmp_path: Path, identity: Identity) -> None:
    from cryptography.hazmat.primitives import serialization as form

    chain, key, out = tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "out.pem"
    chain.write_text(identity.chain)
    key.write_bytes(identity.key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
    key.chmod(0o600)
    import_certificate(out, chain, key, None, PASSWORD)
    assert read_certificate(out, PASSWORD) == identity or read_certificate(out, PASSWORD).sha256 == identity.sha256
    other = tmp_path / "other.pem"
    write_certificate(other, "Somebody else", PASSWORD)
    with pytest.raises(KeyRefused, match="not that of its first certificate"):
        import_certificate(tmp_path / "mixed.pem", other, key, None, PASSWORD)
    chain.write_text("no certificate")
    with pytest.raises(KeyRefused, match="holds no certificate"):
        import_certificate(tmp_path / "none.pem", chain, key, None, PASSWORD)


def test_the_root_key_is_nowhere(identity: Identity) -> None:
    from cryptography import x509

    leaf, root = x509.load_pem_x509_certificates(identity.chain.encode())
    assert leaf.public_key() == identity.key.public_key() != root.public_key()
    assert root.not_valid_after_utc > dt.datetime.now(dt.UTC) + dt.timedelta(days=365 * (certificate.YEARS - 1))


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_signed_tokens_are_minted_killed_added_to_and_proved(pipeline: Pipeline, tmp_path: Path) -> None:
    assert pipeline(*MINT).code == 2  # no such certificate: nothing is planned
    made = pipeline("certificate", "new", "--subject", "Zoë Ħ.", env=SIGNER)
    assert made.code == 0, made.err
    refused = pipeline(*MINT)
    assert refused.code == 2 and "PIPELINE_CERTIFICATE_PASSWORD" in refused.err
    assert pipeline("status", "--json").json["collections"] == []

    killed = pipeline(*MINT, env={**SIGNER, "PIPELINE_CRASH_AT": "image_signed:2"})
    assert killed.code == -signal.SIGKILL, killed.err
    minted = pipeline(*MINT, "--json", env=SIGNER)
    assert minted.code == 0, minted.err
    more = ("mint", "--count", "1", "--more", "--certificate", "certificate.pem")
    assert pipeline(*more, env=SIGNER).code == 0
    for token_id in range(1, 5):
        shown = pipeline("show", str(token_id), "--json").json
        found = read((tmp_path / shown["file"]).read_bytes())
        assert found is not None and found.is_sound and found.claims is not None
        claims = found.claims
        assert (claims.chain_id, claims.contract, claims.token_id) == (31337, shown["contract"], token_id)
        assert claims.seed == shown["seed"]

    proved = pipeline("verify", "--regenerate", "--json")
    assert proved.code == 0, proved.out
    steps = {step["name"]: step for step in json.loads(proved.out)["results"][0]["steps"]}
    assert "it names token 1 of" in steps["credential"]["detail"]
    assert "equal bytes, but for the credential" in steps["pixels"]["detail"]
    whole = pipeline("verify")
    assert whole.code == 0 and "4 signed credentials that name their token" in whole.out


def test_a_signed_file_that_somebody_else_mints_is_called_a_copy(
    pipeline: Pipeline, tmp_path: Path, identity: Identity
) -> None:
    art = tmp_path / "art"
    art.mkdir()
    for number, tone in ((1, 40), (2, 200)):
        file = io.BytesIO()
        Image.radial_gradient("L").point(lambda level, tone=tone: (level + tone) % 256).convert("RGB").save(file, "PNG")
        (art / f"{number}.png").write_bytes(sign(file.getvalue(), CLAIMS, identity) if number == 1 else file.getvalue())
    assert pipeline("mint", "--images", "art").code == 0
    proved = pipeline("verify")
    assert proved.code == 3 and "this is a copy" in proved.out


# ── detection ────────────────────────────────────────────────────────────────────────────────────────────────


def test_detect_names_the_token_of_files_and_copies(pipeline: Pipeline, tmp_path: Path) -> None:
    assert pipeline("certificate", "new", "--subject", "Zoë Ħ.", env=SIGNER).code == 0
    call = (
        "mint",
        "--count",
        "2",
        "--seed",
        "5",
        "--size",
        "256",
        "--watermark",
        "yes",
        "--certificate",
        "certificate.pem",
    )
    assert pipeline(*call, env=SIGNER).code == 0
    shown = pipeline("show", "1", "--json").json
    picture = Image.open(tmp_path / shown["file"])
    folder = tmp_path / "found"
    folder.mkdir()
    picture.save(folder / "a.jpg", quality=60)
    picture.crop((3, 5, 250, 254)).save(folder / "b.png")
    Image.new("RGB", (300, 300)).save(folder / "c.png")
    (folder / "d.txt").write_text("no picture")

    ended = pipeline("detect", shown["file"], "found", "--json")
    whole, saved, cut, plain, text = ended.json
    assert ended.code == 3  # not all of them are marked
    assert whole["credential"]["is_sound"] and whole["known"] == "this file" and whole["owner"] == shown["owner"]
    for copy in (saved, cut):
        assert copy["credential"] is None and copy["token_id"] == 1 and copy["known"] == "a copy"
        assert copy["collection"] == shown["collection"]
    assert cut["cut"] and not saved["cut"]
    assert plain["watermark"] is None and plain["credential"] is None
    assert text["kind"] == "" and text["fault"]
    assert pipeline("detect", shown["file"]).code == 0


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/7.png", "file:///etc/passwd", "ftp://example.org/7.png"])
def test_detect_reads_nothing_of_this_machine_by_an_address(pipeline: Pipeline, address: str) -> None:
    ended = pipeline("detect", address)
    assert ended.code in (2, 3) and "token" not in ended.err
