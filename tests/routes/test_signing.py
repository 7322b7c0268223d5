"""The private key: what is taken, what is refused, and that a refusal names the setting."""

from __future__ import annotations

import subprocess
import sys
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.keys import ALGORITHMS, pem
from tests.sandbox.signing import certificate, private_key, spki
from xtremepush_dlt.exceptions import ConfigurationError
from xtremepush_dlt.routes.signing import signing_key


def refused(text: str, passphrase: str | None = None, algorithm: str | None = None) -> str:
    """What is said about a key that is not taken; it never quotes the key."""
    with pytest.raises(ConfigurationError) as raised:
        signing_key(text, passphrase, algorithm)
    said = f"{raised.value}{raised.value!r}{raised.value.__cause__}"
    lines = [line for line in text.splitlines() if len(line) > 20 and "-----" not in line]
    assert not [line for line in lines if line in said]
    assert passphrase is None or passphrase not in said
    return str(raised.value)


@pytest.mark.parametrize(("algorithm", "kind"), ALGORITHMS.items())
def test_the_algorithm_follows_from_the_key_and_its_signature_can_be_verified(
    algorithm: str, kind: str
) -> None:
    signing = signing_key(pem(kind))
    assert signing.algorithm == algorithm
    signed = signing.sign({"iss": "me"}, "key-1")
    assert jwt.decode(signed, private_key(kind).public_key(), algorithms=[algorithm]) == {
        "iss": "me"
    }
    assert jwt.get_unverified_header(signed) == {"alg": algorithm, "typ": "JWT", "kid": "key-1"}


@pytest.mark.parametrize(("algorithm", "kind"), [("RS256", "4096"), ("RS384", "8192")])
def test_a_larger_rsa_key_may_sign_with_a_weaker_algorithm(algorithm: str, kind: str) -> None:
    assert signing_key(pem(kind), None, algorithm).algorithm == algorithm


@pytest.mark.parametrize(
    ("algorithm", "kind", "is_"),
    [
        ("RS384", "2048", "2048 bits"),
        ("RS512", "4096", "4096 bits"),
        ("ES256", "P-384", "secp384r1"),
        ("ES384", "P-521", "secp521r1"),
        ("ES512", "P-256", "secp256r1"),
        ("RS256", "P-256", "secp256r1"),
        ("ES256", "2048", "2048 bits"),
    ],
)
def test_an_algorithm_that_the_key_is_too_small_or_the_wrong_curve_for_is_refused(
    algorithm: str, kind: str, is_: str
) -> None:
    said = refused(pem(kind), None, algorithm)
    assert "`private_key`" in said
    assert "`algorithm`" in said
    assert algorithm in said
    assert is_ in said


def text_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_an_rsa_key_below_2048_bits_is_refused_with_the_sizes_that_are_taken() -> None:
    said = refused(text_of(rsa.generate_private_key(65537, 1024)))  # noqa: S505  # too small, on purpose
    assert "1024 bits" in said
    assert all(size in said for size in ("2048", "4096", "8192"))


@pytest.mark.parametrize("curve", [ec.SECP256K1(), ec.SECP224R1()], ids=lambda c: str(c.name))
def test_a_curve_of_another_family_is_refused(curve: ec.EllipticCurve) -> None:
    said = refused(text_of(ec.generate_private_key(curve)))
    assert curve.name in said
    assert "P-256" in said


def test_a_key_that_is_neither_rsa_nor_ec_is_refused() -> None:
    assert "neither RSA nor EC" in refused(text_of(ed25519.Ed25519PrivateKey.generate()))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "name of the file"),
        ("/home/me/key.pem", "name of the file"),
        ("abc", "PEM"),
        ("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n", "cannot be read"),
        (pem("2048")[:800], "cannot be read"),
        (pem("2048")[:400] + "AAAA" + pem("2048")[404:], "`private_key`"),
        (spki(private_key("2048")), "public key or a certificate"),
        (certificate(private_key("2048")), "public key or a certificate"),
    ],
    ids=["empty", "path", "word", "nonsense", "cut", "damaged", "public key", "certificate"],
)
def test_what_is_no_private_key_is_refused_with_what_it_seems_to_be(text: str, hint: str) -> None:
    said = refused(text)
    assert hint in said
    assert "`private_key`" in said


def test_an_encrypted_key_needs_its_passphrase() -> None:
    text = pem("P-256", "open sesame")
    assert signing_key(text, "open sesame").algorithm == "ES256"
    assert "`private_key_passphrase`" in refused(text)
    assert "`private_key_passphrase`" in refused(text, "open barley")
    assert "not encrypted" in refused(pem("P-256"), "open sesame")


def test_an_unknown_algorithm_is_refused_with_those_that_there_are() -> None:
    said = refused(pem("P-256"), None, "HS256")
    assert all(name in said for name in ALGORITHMS)


def test_a_key_may_be_in_either_form_and_its_line_breaks_written_as_in_an_env_variable() -> None:
    for text in (
        pem("2048", None, PrivateFormat.TraditionalOpenSSL),
        pem("2048").replace("\n", "\\n"),
        f"\n  {pem('2048')}\n\n",
        pem("2048").replace("\n", "\r\n"),
    ):
        assert signing_key(text).algorithm == "RS256"


def test_a_key_cannot_be_printed() -> None:
    key = signing_key(pem("P-256"))
    assert str(key) == repr(key) == "SigningKey(ES256)"


def test_a_key_of_8192_bits_is_read_within_a_second() -> None:
    text = pem("8192")
    signing_key.cache_clear()
    start = time.monotonic()
    signing_key(text)
    assert time.monotonic() - start < 1


def test_who_uses_an_app_token_does_not_pay_for_the_libraries_of_who_signs() -> None:
    script = (
        "import sys\n"
        "import xtremepush_dlt.factory, xtremepush_dlt.job_client\n"
        "from xtremepush_dlt import xtremepush\n"
        "d = xtremepush(api_endpoint='eu', credentials={'app_token': 'x'})\n"
        "from xtremepush_dlt.route_choice import make_auth\n"
        "make_auth(d.configuration(d.spec()))\n"
        "print('jwt' in sys.modules, 'xtremepush_dlt.routes.signing' in sys.modules)\n"
    )
    done = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert done.split() == ["False", "False"]
