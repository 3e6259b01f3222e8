"""Words that passwords are made of most often. Pure.

Passwords of fewer than twelve characters are refused for their length, so this list holds what longer ones are built
from: a word, perhaps repeated, perhaps with digits and signs around it or in place of letters.
"""

from __future__ import annotations

import re

_WORDS = frozenset(
    """
    my me it is the now this please correct horse battery staple
    password passwort passwd pass passphrase passcode motdepasse contrasena contrasenia senha parola haslo wachtwoord
    losenord salasana heslo geheim secret topsecret admin administrator administrador administrateur root superuser
    sysadmin sysop operator viewer user username guest gast login logon anmeldung welcome willkommen bienvenue bienvenido
    benvenuto letmein letmeinnow letmeinplease openup opensesame changeme changemenow changeit changethis changeitnow
    pleasechangeme default initial temporary temp temppassword test tester testing demo sample example master masterkey
    server network security securitytest secure system computer internet database backup monitor management manager
    company office corporate enterprise production support helpdesk service services
    cisco ciscoise ciscoprime primeinfra prime juniper fortinet paloalto huawei mikrotik ubnt netgear dlink linksys
    vmware esxi windows microsoft linux ubuntu debian redhat oracle postgres postgresql mysql ansible
    troth trothtroth trustno trustnoone trustme trust iloveyou iloveu loveyou ilovemyself iloveyousomuch lovelove love
    sunshine princess football baseball basketball superman batman spiderman starwars dragon monkey shadow michael
    jennifer jordan charlie freedom whatever mustang summer winter spring autumn sommer fruehling herbst monday tuesday
    wednesday thursday friday saturday sunday january february march april june july august september october november
    december hello helloworld hallo liverpool chelsea arsenal barcelona manchester ferrari mercedes porsche samsung
    google facebook pokemon minecraft correcthorsebatterystaple qwerty qwertz azerty asdf asdfgh zxcvbn yxcvbn
    qwertyuiop qwertzuiop azertyuiop asdfghjkl zxcvbnm yxcvbnm qazwsx qazwsxedc qazwsxedcrfv
    """.split()  # noqa: SIM905  # a list of so many words is read as a text
)
_RUNS = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "qazwsxedcrfvtgbyhnujmikolp",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
)
_UNDONE = str.maketrans("0134578@$!|+", "oleastbasilt")
_FEWEST = 5  # different characters
_LONG_NUMBER = 20


def is_common(password: str) -> bool:
    """Tell whether a password is one of those that are tried first."""
    text = password.casefold()
    if len(set(text)) < _FEWEST or _is_run(text) or _repeats(text) or _is_number(text):
        return True
    core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", text)
    return any(_built_of_words(each) for each in (text, core.translate(_UNDONE)))


def _is_number(text: str) -> bool:
    """Tell whether it is a date, a telephone number or the like."""
    return len(text) < _LONG_NUMBER and not any(each.isalpha() for each in text)


def _built_of_words(text: str) -> bool:
    """Tell whether nothing is left but common words, digits and signs."""
    letters = re.sub(r"[\W\d_]+", "", text)
    if not letters or letters in _WORDS:
        return bool(letters)
    # What can be reached from the start by common words alone. Four and more of them are a sentence again.
    reached = {0}
    for end in range(1, len(letters) + 1):
        if any(letters[start:end] in _WORDS for start in reached):
            reached.add(end)
    return len(letters) in reached and len(reached) <= 4


def _is_run(text: str) -> bool:
    """Tell whether it is one or two runs along a keyboard, the digits or the alphabet, either way."""
    runs = [*_RUNS, *(each[::-1] for each in _RUNS)]
    return any(
        any(text[:cut] in run for run in runs) and any(text[cut:] in run for run in runs)
        for cut in range(len(text) // 2, len(text) + 1)
    )


def _repeats(text: str) -> bool:
    """Tell whether a short piece is repeated to the end."""
    return any((text[:size] * (len(text) // size + 1))[: len(text)] == text for size in range(1, len(text) // 3 + 1))
