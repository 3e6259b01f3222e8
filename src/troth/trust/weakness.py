"""What is weak about a key or certificate, said when it is pinned. A pin makes a weak key no stronger: anybody may hold it.

Covered: short and oversized RSA keys, bad exponents, moduli with small factors, with primes close to each other (Fermat), or of the
form that Infineon's library made (ROCA, CVE-2017-15361); small or unknown curves; MD2 to MD5 and SHA-1 signatures
that a chain rests on. Not covered: lists of known keys (Debian's CVE-2008-0166, vendors' default keys). No list is shipped, because
none can be had whole; keys that are known to be public are refused with `troth revoke FINGERPRINT`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import gcd, isqrt, prod
from typing import TYPE_CHECKING

from troth.model import der
from troth.model.keys import is_small_curve, rsa_numbers

if TYPE_CHECKING:
    from troth.model.certificate import CertificateView

MIN_RSA_BITS = 2048
# OpenSSL works with no larger modulus; nothing here computes with one, for a peer chooses it.
MAX_RSA_BITS = 16384
_SHOWN_EXPONENT_BITS = 64
_FERMAT_STEPS = 100
_SMALL_PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
# The primes for which ROCA's moduli are always a power of 65537 (Nemec et al., CCS 2017, section 2.3).
_ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_BROKEN_HASHES = ("MD2", "MD4", "MD5", "SHA-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weakness:
    """One weakness.

    Args:
        code: A stable word for programs.
        text: One sentence for people, without its full stop.
    """

    code: str
    text: str


def weaknesses(view: CertificateView) -> tuple[Weakness, ...]:
    """Name what is weak about a certificate and its key; empty if nothing is known to be."""
    try:
        numbers = rsa_numbers(view.spki_der)
    except der.DerError:
        return (Weakness(code="unreadable-key", text="its key cannot be read, so nothing is known about its strength"),)
    found = _curve(view.key) if numbers is None else _rsa(*numbers)
    if view.key == "DSA":
        found.append(Weakness(code="dsa", text="its key is DSA, which nothing uses any more"))
    if not view.self_issued and view.signature_algorithm.endswith(_BROKEN_HASHES):
        found.append(
            Weakness(code="weak-signature", text=f"its CA signed it with a broken hash ({view.signature_algorithm})")
        )
    return tuple(found)


def _curve(key: str) -> list[Weakness]:
    if key == "EC with explicit parameters":
        text = "its curve is one of its own, which can be made to be broken"
        return [Weakness(code="explicit-curve", text=text)]
    curve = key.removeprefix("EC ")
    if curve == key:
        return []
    if is_small_curve(curve):
        return [Weakness(code="small-curve", text=f"its curve is too small ({key})")]
    # A curve that has a name is known; one that has none is written as an object identifier.
    if curve[0].isdigit():
        return [Weakness(code="unknown-curve", text=f"its curve is not known here ({key})")]
    return []


def _rsa(modulus: int, exponent: int) -> list[Weakness]:
    found = []
    bits = modulus.bit_length()
    if bits < MIN_RSA_BITS:
        found.append(Weakness(code="short-rsa", text=f"its RSA key has {bits} bits, fewer than {MIN_RSA_BITS}"))
    if exponent < 3 or exponent % 2 == 0 or (modulus and exponent >= modulus):
        size = exponent.bit_length()
        shown = exponent if size <= _SHOWN_EXPONENT_BITS else f"a number of {size} bits"
        found.append(Weakness(code="bad-exponent", text=f"its RSA exponent is {shown}, which protects nothing"))
    if bits > MAX_RSA_BITS:
        text = f"its RSA key has {bits} bits, more than the {MAX_RSA_BITS} that TLS libraries can use"
        return [*found, Weakness(code="oversized-rsa", text=text)]
    return found + _factors(modulus)


def _factors(modulus: int) -> list[Weakness]:
    found = []
    if modulus > 0 and (modulus % 2 == 0 or gcd(modulus, prod(_SMALL_PRIMES)) != 1):
        found.append(
            Weakness(code="small-factor", text="its RSA modulus has a small factor, so its private key can be computed")
        )
    elif modulus > 0 and _close_primes(modulus):
        found.append(
            Weakness(code="close-primes", text="its RSA primes are close together, so its private key can be computed")
        )
    if modulus.bit_length() >= 512 and _roca(modulus):
        found.append(
            Weakness(code="roca", text="its RSA key has the form of a broken generator (ROCA, CVE-2017-15361)")
        )
    return found


def _close_primes(modulus: int) -> bool:
    """Try Fermat's factorisation for a few steps (CVE-2022-26320)."""
    root = isqrt(modulus)
    if root * root < modulus:
        root += 1
    for _ in range(_FERMAT_STEPS):
        rest = root * root - modulus
        half = isqrt(rest)
        if half * half == rest:
            return True
        root += 1
    return False


def _roca(modulus: int) -> bool:
    return all(modulus % prime in _powers(prime) for prime in _ROCA_PRIMES)


@cache
def _powers(prime: int) -> frozenset[int]:
    found, power = set(), 1
    while power not in found:
        found.add(power)
        power = power * 65537 % prime
    return frozenset(found)
